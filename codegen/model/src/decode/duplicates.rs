//! Keys that stand twice in one mapping, of a whole document.

use std::collections::HashMap;

use crate::diagnostic::{Code, Problems, quoted};
use crate::yaml::{Node, Place, Value};

/// Reports every key that stands twice in one mapping, anywhere in a document.
pub(crate) fn duplicate_keys(root: &Node, problems: &mut Problems) {
    duplicates(root, &[], problems);
}

/// As [`duplicate_keys`], below the keys that led here.
fn duplicates<'n>(node: &'n Node, keys: &[&'n str], problems: &mut Problems) {
    match &node.value {
        Value::Sequence(items) => items.iter().for_each(|item| duplicates(item, &[keys, &["-"]].concat(), problems)),
        Value::Mapping(entries) => {
            let mut first = HashMap::new();
            for (key, value) in entries {
                // Keys of other kinds are refused as such.
                let Value::String(name) = &key.value else { continue };
                duplicates(value, &[keys, &[name]].concat(), problems);
                match first.get(name.as_str()) {
                    Some(place) => duplicate(name, keys, (key.place, *place), problems),
                    None => drop(first.insert(name.as_str(), key.place)),
                }
            }
        }
        _ => {}
    }
}

fn duplicate(name: &str, keys: &[&str], (again, first): (Place, Place), problems: &mut Problems) {
    let noun = if keys == ["backends"] { "backend" } else { "key" };
    let message = format!("{noun} {} stands twice", quoted(name));
    let problem = problems.error(Code::DuplicateKey, again, message).label("again here").also(first, "first here");
    match noun {
        "backend" => problem.help(format!("name one of them otherwise, such as {}", quoted(&format!("{name}-2")))),
        _ => problem.help("take one of them out"),
    };
}
