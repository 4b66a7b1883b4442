//! What a render of the template `templates/order-late` costs in this process, and through a render
//! worker as the service does it: microseconds from the request to the answer.
//!
//!     cargo bench --bench template [-- <renders>]

use std::path::Path;
use std::time::{Duration, Instant};

use sendport_message::template::{
    Renderer, TemplateSet, TemplateSource, VERB, render_worker, sample_alert,
};

/// The worker is this program, too.
fn main() {
    if std::env::args().any(|argument| argument == VERB) {
        std::process::exit(render_worker().into());
    }
    let renders = std::env::args().find_map(|argument| argument.parse().ok());
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(measure(renders.unwrap_or(5000)));
}

async fn measure(renders: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let payload = std::fs::read_to_string(folder.join("order-late.sample.json"));
    let alert = sample_alert("order-late", "de", Some(&payload.expect("a sample")));
    let set = TemplateSet::load(&folder).expect("compiles");
    let source = TemplateSource::read(&folder).expect("reads");
    let renderer = Renderer::default();
    let (mut here, mut worker) = (Vec::new(), Vec::new());
    // The first ones start the worker and compile.
    for render in 0..renders + 100 {
        let begun = Instant::now();
        let expected = set.render(&alert).expect("renders");
        let between = Instant::now();
        let rendered = renderer.render(&source, &alert).await.expect("renders");
        let ended = Instant::now();
        assert_eq!(rendered, expected);
        if render >= 100 {
            here.push(between - begun);
            worker.push(ended - between);
        }
    }
    print("| render | median, us | 95th percentile, us |\n|---|---|---|");
    for (what, mut times) in [("in this process", here), ("through a worker", worker)] {
        times.sort_unstable();
        let at = |part: usize| micros(times[(times.len() - 1) * part / 100]);
        print(&format!("| {what} | {} | {} |", at(50), at(95)));
    }
}

fn print(line: &str) {
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{line}").expect("write");
}

fn micros(time: Duration) -> u128 {
    time.as_micros()
}
