//! Which members of `params`, `result`, `error` and `_meta` are looked at. The pass itself stands in [`super::scan`].

use super::scan::{Message, Scan, Top};
use super::{Cut, Incoming, Meta, Outgoing};
use crate::mcp::json::{Fault, Kind, Members, Span, Value};

impl Message for Incoming {
    fn params(&mut self, scan: &mut Scan<'_>) -> Result<Value, Fault> {
        let mut meta = None;
        let (params, members) = scan.object(|scan, key, _| {
            if key == b"name" {
                scan.decided(&mut self.name, "params.name")
            } else if key == b"arguments" {
                scan.passed(&mut self.arguments, "params.arguments")
            } else if key == b"_meta" {
                let value = self.meta.insert(Meta::default()).read(scan)?;
                scan.once(&mut meta, value, "params._meta");
                Ok(())
            } else if key == b"uri" {
                scan.decided(&mut self.uri, "params.uri")
            } else if key == b"cursor" {
                scan.decided(&mut self.cursor, "params.cursor")
            } else if key == b"taskId" {
                scan.decided(&mut self.task_id, "params.taskId")
            } else if key == b"requestId" {
                scan.decided(&mut self.request_id, "params.requestId")
            } else if key == b"ref" {
                scan.passed(&mut self.reference, "params.ref")
            } else if key == b"task" {
                scan.passed(&mut self.task, "params.task")
            } else if key == b"inputResponses" {
                let responses = scan.value()?;
                self.resumes |= !scan.is_empty_object(responses);
                Ok(())
            } else {
                self.resumes |= key == b"requestState";
                scan.skip()
            }
        })?;
        self.params_empty = members == 0 && params.kind == Kind::Object;
        self.meta_kind = meta.map(|value| value.kind);
        Ok(params)
    }

    fn result(&mut self, scan: &mut Scan<'_>) -> Result<Value, Fault> {
        scan.value()
    }

    fn error(&mut self, scan: &mut Scan<'_>) -> Result<Value, Fault> {
        scan.value()
    }

    fn complete(&mut self, top: Top) {
        self.shape = top.shape();
        self.version_ok = top.version_ok;
        self.id = top.id;
        self.method = top.method();
        self.root = top.root;
        self.params = top.params;
        self.multiline = top.multiline;
    }
}

impl Message for Outgoing {
    fn params(&mut self, scan: &mut Scan<'_>) -> Result<Value, Fault> {
        let mut meta = None;
        let mut meta_token = None;
        let (params, _) = scan.object(|scan, key, _| {
            if key == b"progressToken" {
                scan.decided(&mut self.progress_token, "params.progressToken")
            } else if key == b"requestId" {
                scan.decided(&mut self.request_id, "params.requestId")
            } else if key == b"level" {
                scan.decided(&mut self.level, "params.level")
            } else if key == b"_meta" {
                let (value, _) = scan.object(|scan, key, _| {
                    if key == b"progressToken" {
                        scan.decided(&mut meta_token, "params._meta.progressToken")
                    } else if key == b"io.modelcontextprotocol/subscriptionId" {
                        scan.decided(&mut self.subscription_id, "params._meta.io.modelcontextprotocol/subscriptionId")
                    } else {
                        scan.skip()
                    }
                })?;
                scan.once(&mut meta, value, "params._meta");
                Ok(())
            } else {
                scan.skip()
            }
        })?;
        self.progress_token = self.progress_token.or(meta_token);
        Ok(params)
    }

    fn result(&mut self, scan: &mut Scan<'_>) -> Result<Value, Fault> {
        let mut finder = CutFinder::default();
        let mut type_cut = [None];
        let (result, members) = scan.object(|scan, key, members| {
            finder.key(&mut type_cut, members);
            if key == b"resultType" {
                scan.decided(&mut self.result_type, "result.resultType")?;
                finder.value(&mut type_cut, 0, members, scan.offset());
            } else if key == b"_meta" {
                scan.passed(&mut self.result_meta, "result._meta")?;
                self.result_meta_empty = self.result_meta.is_some_and(|meta| scan.is_empty_object(meta));
            } else if key == b"ttlMs" {
                scan.decided(&mut self.ttl_ms, "result.ttlMs")?;
            } else if key == b"cacheScope" {
                scan.decided(&mut self.cache_scope, "result.cacheScope")?;
            } else {
                scan.skip()?;
            }
            Ok(())
        })?;
        self.result_empty = members == 0 && result.kind == Kind::Object;
        self.result_type_cut = type_cut[0];
        Ok(result)
    }

    fn error(&mut self, scan: &mut Scan<'_>) -> Result<Value, Fault> {
        let (error, _) = scan.object(|scan, key, _| {
            if key == b"code" {
                scan.decided(&mut self.error_code, "error.code")
            } else if key == b"message" {
                scan.passed(&mut self.error_message, "error.message")
            } else if key == b"data" {
                scan.passed(&mut self.error_data, "error.data")
            } else {
                scan.skip()
            }
        })?;
        Ok(error)
    }

    fn complete(&mut self, top: Top) {
        self.shape = top.shape();
        self.version_ok = top.version_ok;
        self.id = top.id;
        self.method = top.method();
        self.root = top.root;
        self.params = top.params;
        self.result = top.result;
        self.error = top.error;
        self.multiline = top.multiline;
    }
}

impl Meta {
    /// Takes `_meta`, whatever it is.
    fn read(&mut self, scan: &mut Scan<'_>) -> Result<Value, Fault> {
        let mut finder = CutFinder::default();
        let (meta, members) = scan.object(|scan, key, members| {
            finder.key(&mut self.cuts, members);
            let index = if key == b"io.modelcontextprotocol/protocolVersion" {
                scan.decided(&mut self.protocol_version, "params._meta.io.modelcontextprotocol/protocolVersion")?;
                0
            } else if key == b"io.modelcontextprotocol/clientCapabilities" {
                let path = "params._meta.io.modelcontextprotocol/clientCapabilities";
                scan.passed(&mut self.client_capabilities, path)?;
                1
            } else if key == b"io.modelcontextprotocol/clientInfo" {
                scan.passed(&mut self.client_info, "params._meta.io.modelcontextprotocol/clientInfo")?;
                2
            } else if key == b"io.modelcontextprotocol/logLevel" {
                scan.decided(&mut self.log_level, "params._meta.io.modelcontextprotocol/logLevel")?;
                3
            } else if key == b"progressToken" {
                return scan.decided(&mut self.progress_token, "params._meta.progressToken");
            } else {
                return scan.skip();
            };
            finder.value(&mut self.cuts, index, members, scan.offset());
            Ok(())
        })?;
        self.value = meta.span;
        self.members = members;
        self.empty = members == 0 && meta.kind == Kind::Object;
        Ok(meta)
    }
}

/// Finds out where members of one object stand that may be cut.
#[derive(Default)]
pub(in crate::mcp) struct CutFinder {
    /// The last of them, while no key came after it.
    open: Option<usize>,
}

// === impl CutFinder ===

impl CutFinder {
    /// A key was read: the member before it reaches up to there.
    #[inline(always)]
    pub(in crate::mcp) fn key(&mut self, cuts: &mut [Option<Cut>], members: &Members<'_>) {
        if let Some(index) = self.open.take()
            && let Some(cut) = &mut cuts[index]
        {
            cut.span.end = members.start;
            cut.last = false;
        }
    }

    /// The value of a member that may be cut was read up to `end`.
    #[inline(always)]
    pub(in crate::mcp) fn value(&mut self, cuts: &mut [Option<Cut>], index: usize, members: &Members<'_>, end: u32) {
        cuts[index] = Some(Cut { span: Span { start: members.start, end }, comma: members.comma, last: true });
        self.open = Some(index);
    }
}
