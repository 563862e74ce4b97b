//! How much time a call has left, said when its frame is handed out.
//!
//! The dialect writes the number when the call is accepted. A call that waits for its turn has less when it goes, so the
//! number is written over, in the same place: time only runs out, and JSON allows spaces behind a number.

use serde::{Deserialize, Serialize};

use super::deadlines::Nanos;

/// Where the number begins: so many bytes before the end of `params`. They are the last member of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left(u32);

/// How far from the end of `params` the number is looked for. Behind it the host writes trace context at most.
const REACH: usize = 16 << 10;

impl Left {
    /// Where `params` say it, as the last member of that name and followed by what the host wrote itself.
    #[must_use]
    pub fn of(params: &str, member: &str) -> Option<Self> {
        let from = params.len().saturating_sub(REACH);
        let tail = params.as_bytes().get(from..)?;
        let at = memchr::memmem::rfind(tail, member.as_bytes())? + member.len();
        tail.get(at).filter(|byte| byte.is_ascii_digit())?;
        u32::try_from(tail.len() - at).ok().map(Self)
    }

    /// Says it in a whole frame of a request. Where more is left than there was, it stays as it was.
    pub(super) fn say(self, frame: &mut [u8], left: Nanos) {
        let Some(params_end) = frame.iter().rposition(|&byte| byte == b'}') else { return };
        let Some(start) = params_end.checked_sub(self.0 as usize) else { return };
        let place = &mut frame[start..params_end];
        let width = place.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = (left / 1_000_000).to_string();
        if text.len() <= width {
            let (number, rest) = place[..width].split_at_mut(text.len());
            number.copy_from_slice(text.as_bytes());
            rest.fill(b' ');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: &str = "\"deadlineMs\":";

    #[test]
    fn the_hosts_own_number_is_said_anew_and_nothing_else_is_touched() {
        let params =
            r#"{"deadlineMs":7,"s":"\"deadlineMs\":8","_meta":{"deadlineMs":1950,"caller":"cli"}}"#;
        let left = Left::of(params, MEMBER).unwrap();
        for end in ["}\n", "}"] {
            let mut frame = format!("{{\"id\":1,\"params\":{params}{end}").into_bytes();
            let before = String::from_utf8(frame.clone()).unwrap();
            left.say(&mut frame, 50_999_999);
            assert_eq!(String::from_utf8(frame).unwrap(), before.replace("1950,", "50  ,"));
        }
    }

    #[test]
    fn what_is_not_there_or_not_less_stays() {
        assert_eq!(Left::of("{}", MEMBER), None);
        assert_eq!(Left::of(r#"{"_meta":{"deadlineMs":null}}"#, MEMBER), None);
        assert_eq!(
            Left::of(&format!("{{\"deadlineMs\":5,\"s\":\"{}\"}}", "x".repeat(REACH)), MEMBER),
            None
        );
        let left = Left::of(r#"{"_meta":{"deadlineMs":99}}"#, MEMBER).unwrap();
        let mut frame = br#"{"params":{"_meta":{"deadlineMs":99}}}"#.to_vec();
        left.say(&mut frame, 100_000_000);
        assert_eq!(frame, br#"{"params":{"_meta":{"deadlineMs":99}}}"#);
        left.say(&mut frame, 0);
        assert_eq!(frame, br#"{"params":{"_meta":{"deadlineMs":0 }}}"#);
    }
}
