//! The backend over stdio: one message a line, read and answered by the block, in order.

use std::io::{Read as _, Write as _};

use anyhow::Context as _;

use super::answer::{Answers, TEXT_BYTES_MAX};

/// How much is read at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// Serves until standard input ends.
pub(crate) fn serve() -> anyhow::Result<()> {
    let answers = Answers::new();
    let filler = vec![b'x'; TEXT_BYTES_MAX];
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let mut block = vec![0; BLOCK_BYTES];
    let mut pending = Vec::with_capacity(BLOCK_BYTES);
    let mut out = Vec::with_capacity(BLOCK_BYTES);
    loop {
        let count = input.read(&mut block)?;
        if count == 0 {
            return Ok(());
        }
        pending.extend_from_slice(block.get(..count).context("a read fills at most its buffer")?);
        let mut start = 0;
        while let Some(length) = pending.get(start..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let line = pending.get(start..start + length).context("a line lies in what was read")?;
            respond(&answers, &filler, line, &mut out)?;
            start += length + 1;
        }
        pending.drain(..start);
        // One write for everything that one read brought.
        output.write_all(&out)?;
        output.flush()?;
        out.clear();
    }
}

fn respond(answers: &Answers, filler: &[u8], line: &[u8], out: &mut Vec<u8>) -> anyhow::Result<()> {
    let question = answers.read(line).context("a line without a method")?;
    if question.id.is_some() {
        let answer = answers.answer(&question, answers.era(line));
        answer.write_start(out);
        out.extend_from_slice(filler.get(..answer.fill).context("the filler is as long as the longest text")?);
        out.extend_from_slice(answer.end);
        out.push(b'\n');
    }
    Ok(())
}
