//! Heads that are taken and heads that are refused, as tables. What a gateway answers to them is tested elsewhere.

use super::*;

fn request(head: &str) -> Result<String, HeadError> {
    match RequestHead::parse(head.as_bytes(), &[])? {
        Parsed::Head(head, _) => Ok(format!("{:?} {:?} keep_alive={}", head.method, head.framing, head.keep_alive)),
        Parsed::Partial => Ok("partial".to_owned()),
    }
}

#[test]
fn heads_that_frame_a_message_one_way_are_taken() {
    for (head, expected) in [
        ("POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n", "Post Length(2) keep_alive=true"),
        ("POST /mcp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", "Post Chunked keep_alive=true"),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n", "Get None keep_alive=false"),
        ("GET / HTTP/1.0\r\n\r\n", "Get None keep_alive=false"),
        ("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "Get None keep_alive=true"),
        ("post / HTTP/1.1\r\nHost: a\r\n\r\n", "Other None keep_alive=true"),
        (
            "POST /mcp HTTP/1.1\r\nHost: a\r\nTransfer_Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
            "Post Length(2) keep_alive=true",
        ),
        ("POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Le", "partial"),
    ] {
        assert_eq!(request(head).as_deref(), Ok(expected), "{head:?}");
    }
}

#[test]
fn heads_that_could_be_read_two_ways_are_refused() {
    for head in [
        "POST /mcp HTTP/1.1\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a,b\r\n\r\n",
        "POST http://evil/mcp HTTP/1.1\r\nHost: gw\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n",
        "POST /mcp HTTP/1.1\nHost: a\n\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\nX Y: 1\r\n\r\n",
        "POST /mcp HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n",
        "POST /m\x01cp HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /m\u{e9}cp HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /mcp#x HTTP/1.1\r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nPOST /mcp HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        assert!(matches!(request(head), Err(HeadError::Malformed(_))), "{head:?} gave {:?}", request(head));
    }
}

#[test]
fn other_refusals_have_their_own_kind() {
    let head = |fields: &str| format!("POST /mcp HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let many: String = (0..101).map(|n| format!("X-{n}: 1\r\n")).collect();
    let huge = format!("X: {}\r\n", "a".repeat(300 << 10));
    for (head, expected) in [
        (head("Transfer-Encoding: gzip, chunked\r\n"), HeadError::TransferCoding),
        (head("Transfer-Encoding: xchunked\r\n"), HeadError::TransferCoding),
        (head("Expect: 200-ok\r\n"), HeadError::Expectation),
        (head(&many), HeadError::TooLarge),
        (head(&huge), HeadError::TooLarge),
        ("POST /mcp HTTP/1.2\r\nHost: a\r\n\r\n".to_owned(), HeadError::Version),
        ("POST /mcp HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), HeadError::Version),
        (format!("POST /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000)), HeadError::TargetTooLong),
    ] {
        assert_eq!(request(&head), Err(expected), "{}", &head[..head.len().min(60)]);
    }
}

#[test]
fn fields_that_decide_are_counted_and_trimmed() {
    let source = b"POST /mcp HTTP/1.1\r\nHost: a\r\nMCP-Protocol-Version:  2026-07-28 \r\nmcp-protocol-version: x\r\nMcp-Param-Region: eu\r\nTraceParent: 00-a\r\ntracestate:\r\nMcp-Parameter: x\r\nbaggages: x\r\nbaggage: a=1 \r\n\r\n";
    let Ok(Parsed::Head(head, length)) = RequestHead::parse(source, &[]) else { panic!("the head is well formed") };
    assert_eq!(length, source.len());
    assert_eq!(head.protocol_version, Field { value: b"2026-07-28", count: 2 });
    assert_eq!(head.protocol_version.once(), None);
    let passed_on = [("Mcp-Param-Region", "eu"), ("TraceParent", "00-a"), ("tracestate", ""), ("baggage", "a=1")];
    assert_eq!(head.passed_on, passed_on.map(|(name, value)| (name, value.as_bytes())));
}

#[test]
fn the_first_of_each_field_that_is_named_is_kept_whatever_its_case() {
    let source = b"POST /mcp HTTP/1.1\r\nHost: a\r\nX-TENANT:  blue \r\nx-tenant: green\r\nX-Other: x\r\n\r\n";
    let kept = |names| match RequestHead::parse(source, names) {
        Ok(Parsed::Head(head, _)) => head.kept.iter().map(|(name, value)| (*name, value.to_vec())).collect::<Vec<_>>(),
        other => panic!("the head is well formed: {other:?}"),
    };
    assert_eq!(kept(&["x-tenant", "host", "x-none"]), [("host", b"a".to_vec()), ("x-tenant", b"blue".to_vec())]);
    assert_eq!(kept(&[]), []);
}

#[test]
fn a_response_is_framed_by_its_status_and_fields() {
    for (head, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", Ok((Framing::Length(3), true))),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n", Ok((Framing::Chunked, false))),
        ("HTTP/1.1 200 OK\r\n\r\n", Ok((Framing::UntilClose, false))),
        ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", Ok((Framing::None, true))),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            Err(HeadError::Malformed("`Content-Length` beside `Transfer-Encoding`")),
        ),
    ] {
        let outcome = ResponseHead::parse(head.as_bytes()).map(|parsed| match parsed {
            Parsed::Head(head, _) => (head.framing, head.keep_alive),
            Parsed::Partial => panic!("the head is whole"),
        });
        assert_eq!(outcome, expected, "{head:?}");
    }
}
