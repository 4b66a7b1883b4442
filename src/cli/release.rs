//! `sendport release`

use sendport_core::domain::{OperatorVerb, RequestId};

use super::Failure;
use super::operator_verb::{self, EndedRequest, FilterArgs, OptionArgs, Order, TargetArgs};
use crate::config::Config;

/// A hold ends, and the alerts that it took out of the queue are due. An alert that an adoption held, or that is in
/// doubt, is released by its number, or with all. Or a redirect ends.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("target").required(true),
    after_help = "Examples:
  sendport release 4711
  sendport release --send-port default
  sendport release --alert-name order-late
  sendport release --hold 17                the number of the request
  sendport release --redirect 18            likewise; nothing else ends a redirect
  sendport release --all"
)]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// The hold with this number, as `sendport requests` shows it
    #[arg(long, value_name = "REQUEST", group = "target")]
    hold: Option<i64>,
    /// The redirect with this number: messages go to their recipients again
    #[arg(long, value_name = "REQUEST", group = "target")]
    redirect: Option<i64>,
    /// Every hold, and every held alert
    #[arg(long, group = "target")]
    all: bool,
    #[command(flatten)]
    options: OptionArgs,
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    let ends = |id, verb| EndedRequest {
        id: RequestId(id),
        verb,
    };
    let hold = args.hold.map(|id| ends(id, OperatorVerb::Hold));
    let redirect = args.redirect.map(|id| ends(id, OperatorVerb::Redirect));
    let order = Order {
        verb: OperatorVerb::Release,
        filter: FilterArgs::of_target(&args.target).all(args.all),
        ends: hold.or(redirect),
        redirect_to: None,
        requeue: None,
        options: args.options,
    };
    operator_verb::run(order, config).await
}
