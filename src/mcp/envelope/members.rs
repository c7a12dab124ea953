//! Which members of `params`, `result`, `error` and `_meta` are looked at. The pass itself stands in [`super::scan`].

use super::scan::{Message, Scan, Top};
use super::{Cut, Incoming, Meta, Outgoing};
use crate::mcp::json::{Fault, Kind, Members, Span, Value};

impl Message for Incoming {
    fn params(&mut self, scan: &mut Scan<'_>) -> Result<Value, Fault> {
        let mut meta = None;
        let (params, members) = scan.object(|scan, key, _| match key {
            b"name" => scan.decided(&mut self.name, "params.name"),
            b"uri" => scan.decided(&mut self.uri, "params.uri"),
            b"cursor" => scan.decided(&mut self.cursor, "params.cursor"),
            b"taskId" => scan.decided(&mut self.task_id, "params.taskId"),
            b"requestId" => scan.decided(&mut self.request_id, "params.requestId"),
            b"arguments" => scan.passed(&mut self.arguments, "params.arguments"),
            b"_meta" => {
                let mut found = Meta::default();
                let value = found.read(scan)?;
                scan.once(&mut meta, value, "params._meta");
                self.meta = Some(found);
                Ok(())
            }
            _ => scan.skip(),
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
        let (params, _) = scan.object(|scan, key, _| match key {
            b"progressToken" => scan.decided(&mut self.progress_token, "params.progressToken"),
            b"requestId" => scan.decided(&mut self.request_id, "params.requestId"),
            b"level" => scan.decided(&mut self.level, "params.level"),
            b"_meta" => {
                let (value, _) = scan.object(|scan, key, _| match key {
                    b"progressToken" => scan.decided(&mut meta_token, "params._meta.progressToken"),
                    _ => scan.skip(),
                })?;
                scan.once(&mut meta, value, "params._meta");
                Ok(())
            }
            _ => scan.skip(),
        })?;
        self.progress_token = self.progress_token.or(meta_token);
        Ok(params)
    }

    fn result(&mut self, scan: &mut Scan<'_>) -> Result<Value, Fault> {
        let mut cuts = Cuts::<1>::default();
        let (result, members) = scan.object(|scan, key, members| {
            cuts.key(members);
            match key {
                b"resultType" => {
                    scan.decided(&mut self.result_type, "result.resultType")?;
                    cuts.value(0, members, scan.offset());
                    Ok(())
                }
                b"ttlMs" => scan.decided(&mut self.ttl_ms, "result.ttlMs"),
                b"cacheScope" => scan.decided(&mut self.cache_scope, "result.cacheScope"),
                b"_meta" => {
                    scan.passed(&mut self.result_meta, "result._meta")?;
                    self.result_meta_empty = self.result_meta.is_some_and(|meta| scan.is_empty_object(meta));
                    Ok(())
                }
                _ => scan.skip(),
            }
        })?;
        self.result_empty = members == 0 && result.kind == Kind::Object;
        self.result_type_cut = cuts.found[0].map(Cut::alone);
        Ok(result)
    }

    fn error(&mut self, scan: &mut Scan<'_>) -> Result<Value, Fault> {
        let (error, _) = scan.object(|scan, key, _| match key {
            b"code" => scan.decided(&mut self.error_code, "error.code"),
            b"message" => scan.passed(&mut self.error_message, "error.message"),
            b"data" => scan.passed(&mut self.error_data, "error.data"),
            _ => scan.skip(),
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
        let mut cuts = Cuts::<4>::default();
        let (meta, members) = scan.object(|scan, key, members| {
            cuts.key(members);
            match key {
                b"progressToken" => return scan.decided(&mut self.progress_token, "params._meta.progressToken"),
                b"io.modelcontextprotocol/protocolVersion" => {
                    scan.decided(&mut self.protocol_version, "params._meta.io.modelcontextprotocol/protocolVersion")?;
                    cuts.value(0, members, scan.offset());
                }
                b"io.modelcontextprotocol/clientCapabilities" => {
                    let name = "params._meta.io.modelcontextprotocol/clientCapabilities";
                    scan.passed(&mut self.client_capabilities, name)?;
                    cuts.value(1, members, scan.offset());
                }
                b"io.modelcontextprotocol/clientInfo" => {
                    scan.passed(&mut self.client_info, "params._meta.io.modelcontextprotocol/clientInfo")?;
                    cuts.value(2, members, scan.offset());
                }
                b"io.modelcontextprotocol/logLevel" => {
                    scan.decided(&mut self.log_level, "params._meta.io.modelcontextprotocol/logLevel")?;
                    cuts.value(3, members, scan.offset());
                }
                _ => return scan.skip(),
            }
            Ok(())
        })?;
        self.value = meta.span;
        self.members = members;
        self.empty = members == 0 && meta.kind == Kind::Object;
        self.cuts = cuts.found;
        Ok(meta)
    }
}

/// Members of one object that may be cut, as they are found.
struct Cuts<const N: usize> {
    found: [Option<Cut>; N],
    /// The last of them, while no key came after it.
    open: Option<usize>,
}

// === impl Cuts ===

impl<const N: usize> Default for Cuts<N> {
    fn default() -> Self {
        Self { found: [None; N], open: None }
    }
}

impl<const N: usize> Cuts<N> {
    /// A key was read: the member before it reaches up to there.
    #[inline]
    fn key(&mut self, members: &Members) {
        if let Some(index) = self.open.take()
            && let Some(cut) = &mut self.found[index]
        {
            cut.span.end = members.start;
            cut.last = false;
        }
    }

    /// The value of a member that may be cut was read up to `end`.
    #[inline]
    fn value(&mut self, index: usize, members: &Members, end: u32) {
        self.found[index] = Some(Cut { span: Span { start: members.start, end }, comma: members.comma, last: true });
        self.open = Some(index);
    }
}
