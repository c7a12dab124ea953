//! Which version of HTTP a server is spoken to in.

use super::reach::Reach;
use crate::check::Check;
use crate::constant::constant;
use crate::decode::{Decode, wrong_type};
use crate::diagnostic::{Code, Problems};
use crate::features::HTTP2;
use crate::json::token;
use crate::yaml::{Node, Value, steps};

constant! {
    /// Which version of HTTP a server is spoken to in.
    #[derive(Copy)]
    pub enum HttpVersion {
        /// Inside TLS whichever the server chooses, else HTTP/1.1.
        Auto,
        /// HTTP/1.1.
        One,
        /// HTTP/2; without TLS it is known beforehand.
        Two,
    }
}

// === impl HttpVersion ===

impl HttpVersion {
    /// As topologies write them, in JSON, with what they mean.
    const WRITTEN: [(Self, &'static str, &'static str); 3] = [
        (Self::Auto, r#""auto""#, "HTTP/2 inside TLS where the server chooses it, else HTTP/1.1."),
        (Self::One, "1", "HTTP/1.1 only."),
        (Self::Two, "2", "HTTP/2 only: without TLS the server has to expect it, inside TLS it has to choose it."),
    ];
}

impl Decode for HttpVersion {
    const EXPECTED: &'static str = "`auto`, `1` or `2`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::Int(1) => Some(Self::One),
            Value::Int(2) => Some(Self::Two),
            Value::String(word) if word == "auto" => Some(Self::Auto),
            _ => {
                wrong_type(node, Self::EXPECTED, problems);
                None
            }
        }
    }

    fn schema() -> String {
        let written = Self::WRITTEN.map(|(_, written, _)| written).join(",");
        let meanings = Self::WRITTEN.map(|(_, _, meaning)| token(meaning)).join(",");
        format!(r#"{{"enum":[{written}],"enumDescriptions":[{meanings}]}}"#)
    }

    fn written(&self) -> Option<String> {
        Self::WRITTEN.iter().find(|(version, ..)| version == self).map(|(_, written, _)| (*written).to_owned())
    }
}

// === impl Check ===

impl Check<'_> {
    /// Whether a version that a topology insists on is part of this build.
    pub(super) fn http_version(&mut self, name: &str, reach: Reach<'_>) {
        if reach.http != HttpVersion::Two || self.features.has(HTTP2) {
            return;
        }
        let place = self.document.value(steps!["backends", name, "transport", reach.key, "http"]);
        let message = format!("backend `{name}` needs HTTP/2, which is not part of this build");
        self.problems.error(Code::Http2Off, place, message).help(self.features.remedy(self.topology));
    }
}
