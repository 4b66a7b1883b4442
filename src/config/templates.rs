//! Section `[templates]`: where the templates are.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The folder of templates.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TemplatesConfig {
    /// Files `<name>.subject.j2`, `<name>.txt.j2`, `<name>.html.j2`; empty: no templates.
    pub folder: PathBuf,
}
