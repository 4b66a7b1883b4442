//! The texts of an alert: from its own columns, or from a template and its payload.
//!
//! Makes a [`RenderedAlert`] of an [`Alert`]; `mime` makes the message of that. Only this module uses
//! minijinja. Everything is read when a [`TemplateSet`] is made; a render does no I/O and a bounded
//! amount of work.
//!
//! A template is a set of files in one folder, at least a body; in the database it is a set of rows for
//! the same files:
//!
//! | file | makes |
//! |---|---|
//! | `order-late.subject.j2` | the subject, unless the alert brings its own |
//! | `order-late.txt.j2` | the plain text |
//! | `order-late.html.j2` | the HTML, escaped automatically |
//! | `order-late.de.html.j2`, ... | the same for an alert whose `Language` is `de`, `de-AT`, ... |
//! | `order-late.sample.json` | a payload to try it with |
//! | `_layout.html.j2`, `_footer.txt.j2` | nothing alone: for `extends`, `include`, `import` |
//!
//! A language is a tag whose first part has two or three letters: `de`, `de-AT`, `zh-Hant`. The
//! bodies of a message all come from the most specific language that has any; a missing subject
//! comes from the next less specific one.
//!
//! A template sees the members of the payload's JSON object as variables, and `alert`; BizTalk's
//! macros are a function: `biztalk("datetime")`.

mod changes;
mod context;
mod engine;
mod error;
mod files;
mod filters;
mod render;
mod sample;
mod set;
mod source;
mod texts;

pub use changes::{Change, ChangeKind, changes};
pub use error::{Failure, RenderError, TemplateError};
pub use files::is_template_name;
pub use render::{NotRendered, RenderTurn, Renderer, VERB, render_worker};
pub use sample::{SampleResult, sample_alert, sample_of, try_all};
pub use set::{RenderedAlert, TemplateSet, template_name};
pub use source::TemplateSource;
pub use texts::{can_be_files, files_of, read_texts};

#[cfg(doc)]
use sendport_core::domain::Alert;

#[cfg(test)]
mod stored_tests;
#[cfg(test)]
mod tests;
