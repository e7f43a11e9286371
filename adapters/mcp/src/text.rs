//! Texts of servers that users see.

/// The maximum length of a title in characters.
const TITLE: usize = 100;

/// Returns the text, cut to a number of bytes.
pub(crate) fn cut(mut text: String, most: usize) -> String {
    const MORE: &str = "…";
    if text.len() > most {
        let mut end = most - MORE.len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str(MORE);
    }
    text
}

/// Returns a title in one line, whose characters stand in the order in which they are read.
pub(crate) fn title(text: &str) -> String {
    let visible = text.chars().filter(|char| !is_hidden(*char));
    let line = visible.map(|char| if char.is_control() { ' ' } else { char });
    let title: String = line.take(TITLE + 1).collect();
    if title.chars().count() <= TITLE {
        return title.trim().to_owned();
    }
    let cut: String = title.chars().take(TITLE - 1).collect();
    format!("{}…", cut.trim())
}

/// Returns true if a character isn't seen, or changes the direction of others.
fn is_hidden(char: char) -> bool {
    matches!(
        char,
        '\u{61c}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(cut("ä".repeat(8), 16), "ä".repeat(8));
        assert_eq!(cut("ä".repeat(9), 16), format!("{}…", "ä".repeat(6)));
        assert_eq!(title(&"ä".repeat(100)), "ä".repeat(100));
        assert_eq!(title(&"ä".repeat(101)), format!("{}…", "ä".repeat(99)));
    }

    #[test]
    fn a_title_is_one_line_in_the_order_of_reading() {
        let text = "Read\u{202e} a\u{2066} file\n\u{200b}now\u{7} ";
        assert_eq!(title(text), "Read a file now");
    }
}
