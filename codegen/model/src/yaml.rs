//! YAML as an ordered tree in which every node knows where it stands. The reader of [`serde_yaml`] reports a position
//! only with an error, so a position is found by reading the text again and failing at that node.
//!
//! What the tree means is not decided here: see [`crate::decode`].

mod position;
mod refusal;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::{Range, RangeInclusive};

use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, Visitor};

use crate::diagnostic::{Code, Diagnostic};
use crate::lines::Lines;
use crate::source::TOPOLOGY_BYTES_MAX;
use position::{end, extent, offset};

/// How deep mappings and sequences may nest.
const DEPTH_MAX: usize = 32;
/// How many nodes a text may expand to, aliases included.
const NODES_MAX: u32 = 100_000;
/// How many bytes the texts of its nodes may come to, aliases included: a text without aliases stays far below, whatever
/// its escapes stand for.
const EXPANDED_BYTES_MAX: usize = 2 * TOPOLOGY_BYTES_MAX;

/// Which node of a document, counted in the order in which the reader meets them: a key before its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(u32);

/// One node and where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Itself.
    pub(crate) place: Place,
    /// The key it is the value of, itself elsewhere: where to point at when something is missing in it.
    pub(crate) owner: Place,
    /// What it holds.
    pub(crate) value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    String(String),
    Sequence(Vec<Node>),
    Mapping(Vec<(Node, Node)>),
}

/// One step of a path through a document.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// A text and its tree.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    text: &'a str,
    lines: Lines<'a>,
    /// The outermost node.
    pub(crate) root: Node,
}

// === impl Place ===

impl Place {
    /// The outermost node.
    pub(crate) const ROOT: Self = Self(0);

    /// The next so many nodes of the document.
    pub(crate) fn following(self, count: u32) -> impl Iterator<Item = Self> {
        (self.0 + 1..=self.0.saturating_add(count)).map(Self)
    }
}

// === impl Document ===

impl<'a> Document<'a> {
    /// Reads a text, within bounds that hold whatever it contains.
    pub(crate) fn parse(text: &'a str) -> Result<Self, Box<Diagnostic>> {
        if let Some(refused) = refusal::before_reading(text) {
            return Err(refused);
        }
        let (reader, lines) = (Reader::default(), Lines::of_yaml(text));
        match (Seed { reader: &reader, depth: 0, owner: None }).deserialize(deserializer(text)) {
            Ok(root) => Ok(Self { text, lines, root }),
            Err(error) => Err(refusal::of_reader(text, &lines, &error, reader.refused.take())),
        }
    }

    /// Its lines.
    pub(crate) fn lines(&self) -> &Lines<'a> {
        &self.lines
    }

    /// What was read.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// The node at the end of a path, or the last one on the way that exists.
    pub(crate) fn value(&self, path: &[Step<'_>]) -> Place {
        self.walk(path).0.place
    }

    /// The key of the node at the end of a path, or of the last one on the way that exists.
    pub(crate) fn key(&self, path: &[Step<'_>]) -> Place {
        self.walk(path).0.owner
    }

    /// Whether a path leads to a node.
    pub(crate) fn has(&self, path: &[Step<'_>]) -> bool {
        self.walk(path).1
    }

    /// The places of the node at the end of a path: of its key, itself, and all that it holds. Where something else
    /// stands than what could lead on, those of that; `None` where nothing is written.
    pub(crate) fn span(&self, path: &[Step<'_>]) -> Option<RangeInclusive<Place>> {
        let (node, found) = self.walk(path);
        if !found && matches!(node.value, Value::Mapping(_) | Value::Sequence(_)) {
            return None;
        }
        Some(node.owner..=node.last().place)
    }

    /// The node at the end of a path.
    pub(crate) fn node(&self, path: &[Step<'_>]) -> Option<&Node> {
        Some(self.walk(path)).filter(|(_, found)| *found).map(|(node, _)| node)
    }

    fn walk(&self, path: &[Step<'_>]) -> (&Node, bool) {
        let mut node = &self.root;
        for step in path {
            match node.step(*step) {
                Some(next) => node = next,
                None => return (node, false),
            }
        }
        (node, true)
    }

    /// The bytes of the text that a node's position covers: a scalar whole, a collection's first line.
    pub(crate) fn locate(&self, place: Place) -> Range<usize> {
        let reader = Reader { stops: Some(BTreeSet::from([place])), ..Reader::default() };
        match self.read(&reader) {
            Err(error) => error.location().map_or(0..0, |at| self.range((at.line(), at.column()))),
            // It is a scalar within a collection.
            Ok(_) => reader.passed.take().first_key_value().map_or(0..0, |(_, at)| self.range(*at)),
        }
    }

    /// The bytes that a node covers on all its lines, where it is quoted or bracketed; else as [`Document::locate`]. `flow` says
    /// whether it stands within brackets. `None` where it has no end, or no place.
    pub(crate) fn extent(&self, place: Place, flow: bool) -> Option<Range<usize>> {
        let start = self.locate(place).start;
        Some(start..end(self.text, &self.lines, start, flow)?)
    }

    /// As [`Document::locate`] for all of these that are scalars within collections, read in one go.
    pub(crate) fn locate_scalars(&self, places: BTreeSet<Place>) -> BTreeMap<Place, Range<usize>> {
        let reader = Reader { stops: Some(places), scalars_only: true, ..Reader::default() };
        // Whether it fails at the outermost node or not at all: what was passed is known.
        self.read(&reader).ok();
        reader.passed.take().into_iter().map(|(place, at)| (place, self.range(at))).collect()
    }

    fn read(&self, reader: &Reader) -> Result<Node, serde_yaml::Error> {
        Seed { reader, depth: 0, owner: None }.deserialize(deserializer(self.text))
    }

    fn range(&self, at: (usize, usize)) -> Range<usize> {
        let start = offset(self.text, &self.lines, at);
        start..start + extent(self.text, &self.lines, start)
    }
}

impl Node {
    /// The last of all nodes that it holds, itself where it holds none.
    pub(crate) fn last(&self) -> &Self {
        match &self.value {
            Value::Sequence(items) => items.last().map_or(self, Self::last),
            Value::Mapping(entries) => entries.last().map_or(self, |(_, value)| value.last()),
            _ => self,
        }
    }

    /// The node one step further.
    pub(crate) fn step(&self, step: Step<'_>) -> Option<&Self> {
        match (step, &self.value) {
            (Step::Key(name), Value::Mapping(entries)) => {
                entries.iter().find(|(key, _)| matches!(&key.value, Value::String(text) if text == name)).map(|e| &e.1)
            }
            (Step::Index(index), Value::Sequence(items)) => items.get(index),
            _ => None,
        }
    }
}

impl<'a> From<&'a str> for Step<'a> {
    fn from(key: &'a str) -> Self {
        Self::Key(key)
    }
}

impl<'a> From<&'a String> for Step<'a> {
    fn from(key: &'a String) -> Self {
        Self::Key(key)
    }
}

impl From<usize> for Step<'_> {
    fn from(index: usize) -> Self {
        Self::Index(index)
    }
}

/// The reader of a text. It takes a byte order mark for the beginning of a value.
fn deserializer(text: &str) -> serde_yaml::Deserializer<'_> {
    serde_yaml::Deserializer::from_str(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// A path: keys and indices, separated by commas.
macro_rules! steps {
    ($($step:expr),* $(,)?) => { &[$($crate::yaml::Step::from($step)),*] };
}
pub(crate) use steps;

/// What all seeds of one reading share.
#[derive(Default)]
struct Reader {
    nodes: Cell<u32>,
    /// The bytes of all texts so far.
    bytes: Cell<usize>,
    /// The nodes whose positions are asked for: those at which to fail.
    stops: Option<BTreeSet<Place>>,
    /// Whether to pass by collections among them.
    scalars_only: bool,
    /// The node at which reading failed last, where that was for its position.
    stopped: Cell<Option<Place>>,
    /// The lines and columns of the nodes behind which reading went on.
    passed: RefCell<BTreeMap<Place, (usize, usize)>>,
    /// Why reading ended here, where that is not for the syntax.
    refused: RefCell<Option<(Code, String)>>,
}

/// Reads one node.
struct Seed<'r> {
    reader: &'r Reader,
    depth: usize,
    owner: Option<Place>,
}

struct NodeVisitor<'r> {
    reader: &'r Reader,
    depth: usize,
    place: Place,
    owner: Place,
}

// === impl Reader ===

impl Reader {
    /// Goes on behind a scalar that was read whole and failed only for its position; fails as before elsewhere.
    fn pass<E: de::Error>(&self, error: E) -> Result<(), E> {
        let Some(place) = self.stopped.take() else { return Err(error) };
        self.passed.borrow_mut().insert(place, line_and_column(&error.to_string()));
        Ok(())
    }
}

/// The position that ends the text of an error. The type of the error, which has it as numbers, is hidden within
/// collections.
fn line_and_column(error: &str) -> (usize, usize) {
    let position = error.rsplit_once(" at line ").and_then(|(_, at)| at.split_once(" column "));
    let numbers = position.and_then(|(line, column)| Some((line.parse().ok()?, column.parse().ok()?)));
    // The first of all characters has none.
    numbers.unwrap_or((1, 1))
}

// === impl Seed ===

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        let place = Place(self.reader.nodes.get());
        self.reader.nodes.set(place.0 + 1);
        let owner = self.owner.unwrap_or(place);
        deserializer.deserialize_any(NodeVisitor { reader: self.reader, depth: self.depth, place, owner })
    }
}

// === impl NodeVisitor ===

impl NodeVisitor<'_> {
    fn scalar<E: de::Error>(self, value: Value) -> Result<Node, E> {
        self.begin()?;
        if self.is_asked_for() {
            self.reader.stopped.set(Some(self.place));
            return Err(E::custom("here"));
        }
        Ok(self.node(value))
    }

    fn node(self, value: Value) -> Node {
        Node { place: self.place, owner: self.owner, value }
    }

    /// Fails here when this node is one too many.
    fn begin<E: de::Error>(&self) -> Result<(), E> {
        if self.place.0 >= NODES_MAX {
            let message = format!("aliases expand to more than {NODES_MAX} values");
            return Err(self.refuse(Code::OverBounds, message));
        }
        Ok(())
    }

    fn is_asked_for(&self) -> bool {
        self.reader.stops.as_ref().is_some_and(|stops| stops.contains(&self.place))
    }

    fn refuse<E: de::Error>(&self, code: Code, message: String) -> E {
        let error = E::custom(&message);
        self.reader.refused.replace(Some((code, message)));
        error
    }

    fn begin_collection<E: de::Error>(&self) -> Result<(), E> {
        self.begin()?;
        if self.is_asked_for() && !self.reader.scalars_only {
            return Err(E::custom("here"));
        }
        if self.depth == DEPTH_MAX {
            let message = format!("collections nest deeper than {DEPTH_MAX} levels");
            return Err(self.refuse(Code::OverBounds, message));
        }
        Ok(())
    }

    fn within(&self, owner: Option<Place>) -> Seed<'_> {
        Seed { reader: self.reader, depth: self.depth + 1, owner }
    }
}

impl<'de> Visitor<'de> for NodeVisitor<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        self.scalar(Value::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        self.scalar(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        self.scalar(Value::Bool(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        self.scalar(Value::Int(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        self.scalar(Value::Int(value.into()))
    }

    fn visit_i128<E: de::Error>(self, value: i128) -> Result<Node, E> {
        self.scalar(Value::Int(value))
    }

    fn visit_u128<E: de::Error>(self, value: u128) -> Result<Node, E> {
        // No key takes a number of this size: which one it was exactly does not matter.
        self.scalar(Value::Int(i128::try_from(value).unwrap_or(i128::MAX)))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        self.scalar(Value::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        let bytes = self.reader.bytes.get() + value.len();
        self.reader.bytes.set(bytes);
        if bytes > EXPANDED_BYTES_MAX {
            let message = format!("aliases expand to more than {EXPANDED_BYTES_MAX} bytes of text");
            return Err(self.refuse(Code::OverBounds, message));
        }
        self.scalar(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        self.begin_collection()?;
        let mut items = Vec::new();
        loop {
            match access.next_element_seed(self.within(None)) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => self.reader.pass(error)?,
            }
        }
        Ok(self.node(Value::Sequence(items)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        self.begin_collection()?;
        let mut entries = Vec::new();
        loop {
            let place = Place(self.reader.nodes.get());
            let key = match access.next_key_seed(self.within(None)) {
                Ok(None) => break,
                Ok(key) => key,
                Err(error) => self.reader.pass(error).map(|()| None)?,
            };
            match access.next_value_seed(self.within(Some(place))) {
                Ok(value) => entries.extend(key.map(|key| (key, value))),
                Err(error) => self.reader.pass(error)?,
            }
        }
        Ok(self.node(Value::Mapping(entries)))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, _: A) -> Result<Node, A::Error> {
        self.begin()?;
        Err(self.refuse(Code::Syntax, "tags such as `!name` have no meaning here".to_owned()))
    }
}
