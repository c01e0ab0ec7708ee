//! Bilibili's danmaku XML: `<d p="time,mode,size,color,sent_s,pool,userhash,rowid">text</d>` in a root element.
//!
//! Recorders put elements of their own between them, cut files off and do not escape, so it is read element by element:
//! what is no danmaku is passed over, and behind what cannot be read the next danmaku begins anew.

use quick_xml::{
    Reader,
    escape::resolve_predefined_entity,
    events::{BytesRef, BytesStart, Event},
};

use super::{BadLine, Recorded, Recording, user_of_name};

/// What `GET …/export` writes for the chat server.
const OURS: &str = "barrage";
/// Seconds in a recording that nobody makes longer; a time beyond it is a slip.
const TIME_S_MAX: f64 = 1e9;
/// Where a user stands in `p`.
const USER_FIELD: usize = 6;
/// Who said what old recorders, which wrote the first four or five fields only, have.
const NOBODY_KNOWS: &str = "";

/// Where the text goes that is read.
enum Within {
    Nothing,
    ChatServer,
    /// A danmaku that begins at this byte: its time and user, or why it has none.
    Danmaku(usize, Result<(u64, String), String>),
}

/// A document as far as it is read.
struct Document<'t> {
    whole: &'t str,
    within: Within,
    text: String,
    ours: bool,
    recording: Recording,
}

/// Parses a document.
pub(super) fn parse(whole: &str) -> Recording {
    let (within, recording) = (Within::Nothing, Recording::default());
    let mut document = Document { whole, within, text: String::new(), ours: false, recording };
    let mut from = 0;
    while let Some(behind) = document.read(from) {
        match whole[behind..].find("<d ") {
            Some(next) => from = behind + next,
            None => break,
        }
    }
    document.recording
}

impl Document<'_> {
    /// Reads on from a byte, to the end or to what cannot be read; where that ends.
    fn read(&mut self, from: usize) -> Option<usize> {
        let mut reader = Reader::from_str(&self.whole[from..]);
        let config = reader.config_mut();
        (config.allow_dangling_amp, config.allow_unmatched_ends, config.check_end_names) = (true, true, false);
        loop {
            let at = from + position(&reader);
            match reader.read_event() {
                Ok(Event::Start(start)) => self.begin(&start, at),
                Ok(Event::End(_)) => self.end(),
                Ok(Event::Text(text)) => self.text.push_str(&text.into_inner()),
                Ok(Event::CData(text)) => self.text.push_str(&text.into_inner()),
                Ok(Event::GeneralRef(reference)) => self.text.push_str(&resolved(&reference)),
                Ok(Event::Eof) => {
                    if let Within::Danmaku(at, _) = self.within {
                        self.bad(at, "the file ends within it".to_owned());
                    }
                    return None;
                }
                Ok(_) => {}
                Err(error) => {
                    self.within = Within::Nothing;
                    self.bad(at, error.to_string());
                    return Some(at + self.whole[at..].chars().next().map_or(0, char::len_utf8));
                }
            }
        }
    }

    fn begin(&mut self, start: &BytesStart<'_>, at: usize) {
        if let Within::Danmaku(before, _) = self.within {
            self.bad(before, "it has no end".to_owned());
        }
        self.text.clear();
        self.within = match start.name().0 {
            "chatserver" => Within::ChatServer,
            "d" => Within::Danmaku(at, attributes(start)),
            _ => Within::Nothing,
        };
    }

    fn end(&mut self) {
        match std::mem::replace(&mut self.within, Within::Nothing) {
            Within::Nothing => {}
            Within::ChatServer => self.ours = self.text == OURS,
            Within::Danmaku(at, Err(problem)) => self.bad(at, problem),
            Within::Danmaku(_, Ok((at_ms, user))) => {
                // Our own exports have user IDs where Bilibili has hashes.
                let user = if self.ours { user_of_id(&user) } else { user_of_hash(&user) };
                let content = std::mem::take(&mut self.text);
                self.recording.danmaku.push(Recorded { at_ms, user, content });
            }
        }
    }

    fn bad(&mut self, at: usize, problem: String) {
        let line = self.whole.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        self.recording.bad.push(BadLine { line, problem });
    }
}

/// The time and the user in `p`.
fn attributes(start: &BytesStart<'_>) -> Result<(u64, String), String> {
    let p = start.try_get_attribute("p").map_err(|error| error.to_string())?.ok_or("it has no p")?;
    let fields: Vec<&str> = p.value.split(',').collect();
    let at_ms = fields.first().and_then(|time| milliseconds(time));
    let at_ms = at_ms.ok_or_else(|| format!("p=\"{}\" has no time", p.value))?;
    Ok((at_ms, (*fields.get(USER_FIELD).unwrap_or(&NOBODY_KNOWS)).to_owned()))
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

/// What a reference stands for; one that stands for nothing is text.
fn resolved(reference: &BytesRef<'_>) -> String {
    let name = reference.borrow().into_inner();
    match (reference.resolve_char_ref(), resolve_predefined_entity(&name)) {
        (Ok(Some(character)), _) => character.to_string(),
        (_, Some(text)) => text.to_owned(),
        _ => format!("&{name};"),
    }
}

fn milliseconds(seconds: &str) -> Option<u64> {
    let seconds: f64 = seconds.parse().ok()?;
    let sane = seconds.is_finite() && (0.0..TIME_S_MAX).contains(&seconds);
    sane.then(|| u64::try_from(std::time::Duration::from_secs_f64(seconds).as_millis()).unwrap_or(u64::MAX))
}

fn user_of_id(id: &str) -> u64 {
    id.parse().ok().filter(|&id| id != 0).unwrap_or_else(|| user_of_name(id))
}

/// The user hash is a CRC-32 in hexadecimal; other sites write other names there.
fn user_of_hash(hash: &str) -> u64 {
    match u64::from_str_radix(hash, 16) {
        Ok(user) if user != 0 => user,
        _ => user_of_name(hash),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<i><chatserver>chat.bilibili.com</chatserver><chatid>1</chatid><maxlimit>500</maxlimit>
<d p="12.34500,1,25,16777215,1625832185,0,a1b2c3d4,52017838">来了 &amp; 走了 &lt;3</d>
<d p="0.5,1,25,16777215,1625832185,0,D-visitor,52017839">前排</d></i>"#;

    fn texts(recording: &Recording) -> Vec<&str> {
        recording.danmaku.iter().map(|line| line.content.as_str()).collect()
    }

    fn lines(recording: &Recording) -> Vec<usize> {
        recording.bad.iter().map(|bad| bad.line).collect()
    }

    #[test]
    fn times_users_and_escaped_texts_are_read() {
        let recording = parse(DOCUMENT);
        let lines = recording.danmaku;
        assert_eq!((lines.len(), recording.bad), (2, vec![]));
        assert_eq!(lines[0], Recorded { at_ms: 12_345, user: 0xa1b2_c3d4, content: "来了 & 走了 <3".to_owned() });
        assert_eq!((lines[1].at_ms, lines[1].content.as_str()), (500, "前排"));
        assert_ne!(lines[1].user, 0);
    }

    #[test]
    fn references_stand_for_what_they_stand_for() {
        let recording = parse("<i><d p=\"1,1,25,1,1,0,a,1\">&#x5f39;&#24149;&quot;<![CDATA[<&>]]>&nbsp;&</d></i>");
        assert_eq!((texts(&recording), recording.bad.len()), (vec!["弹幕\"<&>&nbsp;&"], 0));
    }

    #[test]
    fn what_is_no_danmaku_is_passed_over() {
        let recording = parse(
            "<?xml version=\"1.0\"?>\n<i><Recorder version=\"2\"/><d p=\"1,1,25,1,1,0,a,1\" user=\"u\">one</d>\n\
             <gift ts=\"0.9\" giftname=\"flower\"/><sc ts=\"1.5\">paid words</sc>\n<!-- d -->\n\
             <d user=\"u\" p=\"2,1,25,1,1,0,a,1\">two</d></i>",
        );
        assert_eq!((texts(&recording), lines(&recording)), (vec!["one", "two"], vec![]));
    }

    #[test]
    fn old_recorders_say_no_user() {
        let recording = parse("<i><d p=\"1.5,1,25,16777215\">one</d><d p=\"2,1,25,1,1,0,,1\">two</d></i>");
        assert_eq!((texts(&recording), recording.bad.len()), (vec!["one", "two"], 0));
        assert!(recording.danmaku[0].user != 0 && recording.danmaku[0].user == recording.danmaku[1].user);
    }

    #[test]
    fn bad_attributes_are_named_with_their_line() {
        for p in ["", "x,1,25,1,1,0,a,1", "-1,1,25,1,1,0,a,1", "NaN,1,25,1,1,0,a,1", "1e99,1,25,1,1,0,a,1"] {
            let good = "<d p=\"1,1,25,1,1,0,a,1\">good</d>";
            let recording = parse(&format!("<i>\n<d p=\"{p}\">x</d>\n{good}\n<d>x</d></i>"));
            assert_eq!((texts(&recording), lines(&recording)), (vec!["good"], vec![2, 4]), "{:?}", recording.bad);
        }
    }

    #[test]
    fn behind_what_cannot_be_read_it_goes_on() {
        let good = |text: &str| format!("<d p=\"1,1,25,1,1,0,a,1\">{text}</d>");
        for (bad, line) in
            [("<d p=1,1,25>x</d>", 2), ("<d p=\"1,1,25,1,1,0,a,1\">no end", 2), ("<!-- no end of a comment", 2)]
        {
            let recording = parse(&format!("<i>{}\n{bad}\n{}</i>", good("one"), good("two")));
            assert_eq!(texts(&recording), ["one", "two"], "{bad}: {:?}", recording.bad);
            assert_eq!(lines(&recording), [line], "{bad}: {:?}", recording.bad);
        }
        for cut in ["<d p=\"2,1,25", "<d p=\"2,1,25,1,1,0,a,1\">tw", "<d p=\"2,1,25,1,1,0,a,1\">two</d"] {
            let recording = parse(&format!("<i>{}\n{cut}", good("one")));
            assert_eq!((texts(&recording), lines(&recording)), (vec!["one"], vec![2]), "{cut}: {:?}", recording.bad);
        }
    }
}
