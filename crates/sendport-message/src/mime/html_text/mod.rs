//! The text part of a message that was written in HTML only, without markup. The targets of links
//! are listed at the end.
//!
//! html2text does the layout. Its input is not the HTML as it was written but a plain copy of it,
//! [`canonical`].

mod canonical;
mod link;
pub(super) mod scan;

use parking_lot::Mutex;

use canonical::canonical;

/// Characters in a line.
const WIDTH: usize = 76;
/// HTML after so many bytes is left out of the text.
const LARGEST: usize = 512 * 1024;
/// Longer HTML is converted one message at a time, in bytes.
const LONG: usize = 64 * 1024;

/// Converts HTML to text, with links as footnotes and tables in columns, without style and script.
pub(super) fn html_to_text(html: &str) -> String {
    let cut = html.floor_char_boundary(LARGEST);
    static ONE_LONG: Mutex<()> = Mutex::new(());
    let alone = (cut > LONG).then(|| ONE_LONG.lock());
    let copy = canonical(&html[..cut]);
    let text = laid_out(&copy.out).unwrap_or_else(|| without_tags(&copy.out));
    drop(alone);
    let lines: Vec<_> = text.lines().map(str::trim_end).collect();
    let mut text = lines.join("\n").trim_matches('\n').to_owned() + "\n";
    for (target, number) in copy.targets.iter().zip(1..) {
        let space = if number == 1 { "\n" } else { "" };
        text += &format!("{space}[{number}] {target}\n");
    }
    if cut < html.len() {
        return text + "\n[The rest is in the HTML version of this message.]\n";
    }
    text
}

/// `None` after a panic on unusual HTML.
fn laid_out(html: &str) -> Option<String> {
    std::panic::catch_unwind(|| {
        html2text::config::plain()
            .no_table_borders()
            .min_wrap_width(20)
            .allow_width_overflow()
            .string_from_read(html.as_bytes(), WIDTH)
            .ok()
    })
    .ok()
    .flatten()
}

/// The tags of canonical HTML hold no `<` and no `>` of their own.
fn without_tags(html: &str) -> String {
    html.split('<')
        .map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests;
