//! `sendport redirect`

use sendport_core::domain::{AddressError, OperatorVerb, parse_mailbox};

use super::Failure;
use super::operator_verb::{self, FilterArgs, OptionArgs, Order, TargetArgs};
use crate::config::Config;

/// An alert, a send port, all alerts of an AlertName or all alerts go to one address, and to none of their recipients,
/// until `sendport release --redirect`. The text shows the recipients. The newest redirect that matches is in force.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("target").required(true),
    after_help = "Examples:
  sendport redirect --to qa@contoso.com --all
  sendport redirect --to qa@contoso.com --send-port default --comment 'acceptance test'
  sendport redirect --to qa@contoso.com --all --dry-run      count first"
)]
pub(super) struct Args {
    /// The one address
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    to: String,
    #[command(flatten)]
    target: TargetArgs,
    /// All alerts
    #[arg(long, group = "target")]
    all: bool,
    #[command(flatten)]
    options: OptionArgs,
}

fn address(text: &str) -> Result<String, AddressError> {
    parse_mailbox(text).map(|mailbox| mailbox.address.to_string())
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    let order = Order {
        verb: OperatorVerb::Redirect,
        filter: FilterArgs::of_target(&args.target).all(args.all),
        ends: None,
        redirect_to: Some(args.to),
        requeue: None,
        options: args.options,
    };
    operator_verb::run(order, config).await
}
