//! `sendport cancel`

use sendport_core::domain::OperatorVerb;

use super::Failure;
use super::operator_verb::{self, FilterArgs, OptionArgs, Order};
use crate::config::Config;

/// Alerts that match are not sent any more. What is being sent at this moment ends first, and what waits of it then is
/// cancelled. Alerts that are inserted later are not touched.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sendport cancel 4711
  sendport cancel --alert-name order-late --comment 'runaway job'
  sendport cancel --send-port bulk --since 2h --dry-run     count first")]
pub(super) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    options: OptionArgs,
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    let order = Order {
        verb: OperatorVerb::Cancel,
        filter: args.filter,
        ends: None,
        redirect_to: None,
        requeue: None,
        options: args.options,
    };
    operator_verb::run(order, config).await
}
