//! `only1mcp explain`: what the codes of problems mean. The texts are the model's.

use clap::Args;
use only1mcp_model::diagnostic::{Code, explain};

use super::{Exit, complain, print};

/// How wide a paragraph is printed.
const WIDTH_CHARS: usize = 100;

/// Say what the codes of problems mean.
#[derive(Args, Debug)]
pub(super) struct Explain {
    /// Codes such as E0301, in either case; without any, all are listed.
    #[arg(value_name = "CODE")]
    codes: Vec<String>,
}

impl Explain {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        if self.codes.is_empty() {
            let lines = Code::ALL.iter().map(|code| format!("{code}  {:7}  {}\n", code.severity(), code.meaning()));
            print(&lines.collect::<String>())?;
            return Ok(Exit::Ok);
        }
        let mut texts = Vec::new();
        for text in &self.codes {
            let Some(code) = Code::parse(text) else {
                let hint = match Code::near(text) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`only1mcp explain` lists those that do".to_owned(),
                };
                complain(&format!("error: code `{}` does not exist; {hint}", text.escape_debug()));
                return Ok(Exit::NotUnderstood);
            };
            let head = format!("{code} ({}): {}", code.severity(), code.meaning());
            texts.push(format!("{head}\n\n{}\n", wrapped(explain(code)).trim_end()));
        }
        print(&texts.join("\n"))?;
        Ok(Exit::Ok)
    }
}

/// A text with its paragraphs broken into lines; indented lines stay as they are.
fn wrapped(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        if line.starts_with(' ') {
            out += &format!("{line}\n");
            continue;
        }
        let mut width = 0;
        for word in line.split(' ') {
            let length = word.chars().count();
            if width > 0 {
                let fits = width + 1 + length <= WIDTH_CHARS;
                out.push(if fits { ' ' } else { '\n' });
                width = if fits { width + 1 } else { 0 };
            }
            out += word;
            width += length;
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_are_broken_and_examples_are_not() {
        for code in Code::ALL {
            let (text, shown) = (explain(*code), wrapped(explain(*code)));
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&shown), words(text), "{code}");
            for line in shown.lines() {
                assert!(line.starts_with(' ') || line.chars().count() <= WIDTH_CHARS, "{code}: {line}");
            }
            let example = text.lines().find(|line| line.starts_with(' ')).expect("every code has an example");
            assert!(shown.lines().any(|line| line == example), "{code}");
        }
    }
}
