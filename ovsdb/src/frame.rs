//! Cutting a stream of bytes into JSON texts.
//!
//! OVSDB's JSON-RPC has no length prefix and no separator (RFC 7047, 4): a message ends where its outermost object
//! does. So the framer counts brackets outside of strings, looks at every byte once however the stream is cut, and
//! leaves the JSON itself to the parser.

/// Cuts a stream into JSON objects.
#[derive(Debug)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Everything before has been looked at.
    scanned: usize,
    depth: usize,
    in_string: bool,
    after_backslash: bool,
    max_bytes: usize,
}

/// Why a stream cannot be cut any further; the connection is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Something other than an object, at the place of a message.
    #[error("message begins with byte {0:#04x}, not with an object")]
    NoObject(u8),
    /// A message beyond the limit.
    #[error("message is longer than {0} bytes")]
    TooLong(usize),
    /// Nested beyond what any message of OVSDB needs.
    #[error("message is nested deeper than {} levels", Framer::MAX_DEPTH)]
    TooDeep,
}

impl Framer {
    /// Levels of nesting that a message may have. The deepest that the RFC describes has 11.
    pub const MAX_DEPTH: usize = 64;

    /// A framer that refuses messages longer than `max_bytes`.
    pub const fn new(max_bytes: usize) -> Self {
        Self { buffer: Vec::new(), scanned: 0, depth: 0, in_string: false, after_backslash: false, max_bytes }
    }

    /// Adds bytes from the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, if it has arrived.
    ///
    /// # Errors
    /// [`FrameError`] if what has arrived cannot be a message. The framer then stays in that state.
    pub fn next_message(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        if self.depth == 0 {
            // Between messages there may be white space.
            let blank = self.buffer.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            self.buffer.drain(..blank);
            self.scanned = 0;
            match self.buffer.first() {
                None => return Ok(None),
                Some(b'{') => {}
                Some(other) => return Err(FrameError::NoObject(*other)),
            }
        }
        while let Some(&byte) = self.buffer.get(self.scanned) {
            if self.scanned >= self.max_bytes {
                return Err(FrameError::TooLong(self.max_bytes));
            }
            self.step(byte)?;
            self.scanned += 1;
            if self.depth == 0 {
                let rest = self.buffer.split_off(self.scanned);
                self.scanned = 0;
                return Ok(Some(std::mem::replace(&mut self.buffer, rest)));
            }
        }
        Ok(None)
    }

    fn step(&mut self, byte: u8) -> Result<(), FrameError> {
        if self.in_string {
            match byte {
                _ if self.after_backslash => self.after_backslash = false,
                b'\\' => self.after_backslash = true,
                b'"' => self.in_string = false,
                _ => {}
            }
            return Ok(());
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' if self.depth == Self::MAX_DEPTH => return Err(FrameError::TooDeep),
            b'{' | b'[' => self.depth += 1,
            // Whether a bracket closes one of its own kind is for the parser to say.
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn all(framer: &mut Framer) -> Result<Vec<Vec<u8>>, FrameError> {
        std::iter::from_fn(|| framer.next_message().transpose()).collect()
    }

    /// However the stream is cut, the same messages come out.
    #[test]
    fn messages_come_out_whole_however_the_stream_is_cut() {
        bolero::check!().with_type::<(Vec<String>, Vec<u8>)>().for_each(|(strings, cuts)| {
            let sent: Vec<Json> = strings.iter().map(|s| json!({ s.as_str(): [s, {"n": [s]}] })).collect();
            let stream: String = sent.iter().map(|json| format!(" {json}\n")).collect();
            let mut rest = stream.as_bytes();
            let mut framer = Framer::new(1 << 20);
            let mut received = Vec::new();
            for cut in cuts.iter().map(|cut| usize::from(*cut)).chain([usize::MAX]) {
                let (piece, tail) = rest.split_at(cut.min(rest.len()));
                framer.push(piece);
                received.extend(all(&mut framer).unwrap());
                rest = tail;
            }
            let received: Vec<Json> =
                received.iter().map(|text| serde_json::from_slice(text).unwrap()).collect();
            assert_eq!(received, sent);
        });
    }

    /// Against an oracle: what the framer cuts off damaged input is what a JSON parser reads from it, as far as that
    /// can read at all.
    #[test]
    fn damaged_streams_are_cut_where_a_parser_would_cut_them() {
        let sample = r#"{"a":"}\"{","b":[{},[]]} {"c":"\\"}{"d":{"e":1}}"#;
        bolero::check!().with_type::<Vec<(u8, u8)>>().for_each(|edits| {
            let bytes = crate::testing::damage(sample, edits);
            let mut framer = Framer::new(1 << 10);
            framer.push(&bytes);
            let mut parser = serde_json::Deserializer::from_slice(&bytes).into_iter::<Json>();
            while let Ok(Some(text)) = framer.next_message() {
                let Ok(framed) = serde_json::from_slice::<Json>(&text) else { break };
                assert_eq!(parser.next().unwrap().unwrap(), framed);
            }
        });
    }

    #[test]
    fn limits_hold_whether_or_not_the_message_is_whole() {
        for pieces in [vec!["{\"a\":\"0123456789\"}"], vec!["{\"a\":", "\"0123456"]] {
            let mut framer = Framer::new(10);
            pieces.iter().for_each(|piece| framer.push(piece.as_bytes()));
            assert_eq!(all(&mut framer), Err(FrameError::TooLong(10)));
            assert_eq!(all(&mut framer), Err(FrameError::TooLong(10)));
        }
        let mut framer = Framer::new(10);
        framer.push(b"{\"a\":1234}{\"b\":12345}");
        assert_eq!(framer.next_message(), Ok(Some(b"{\"a\":1234}".to_vec())));
        assert_eq!(framer.next_message(), Err(FrameError::TooLong(10)));

        let mut framer = Framer::new(1 << 10);
        framer.push("{\"a\":".as_bytes());
        framer.push("[".repeat(Framer::MAX_DEPTH).as_bytes());
        assert_eq!(framer.next_message(), Err(FrameError::TooDeep));

        let mut framer = Framer::new(1 << 10);
        framer.push(b"  ]");
        assert_eq!(framer.next_message(), Err(FrameError::NoObject(b']')));
    }
}
