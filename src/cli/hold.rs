//! `sendport hold`

use sendport_core::domain::OperatorVerb;

use super::Failure;
use super::operator_verb::{self, FilterArgs, OptionArgs, Order, TargetArgs};
use crate::config::Config;

/// An alert, a send port or all alerts of an AlertName wait until `sendport release`. Alerts that are inserted later
/// are held too. Held alerts expire like others.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("target").required(true),
    after_help = "Examples:
  sendport hold 4711
  sendport hold --send-port default --comment 'maintenance of the mail server'
  sendport hold --alert-name order-late"
)]
pub(super) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    options: OptionArgs,
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    let order = Order {
        verb: OperatorVerb::Hold,
        filter: FilterArgs::of_target(&args.target),
        ends: None,
        redirect_to: None,
        requeue: None,
        options: args.options,
    };
    operator_verb::run(order, config).await
}
