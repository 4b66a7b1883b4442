//! `sendport requeue`

use sendport_core::domain::{OperatorVerb, RequeueRecipients, UnknownWord};

use super::Failure;
use super::operator_verb::{self, FilterArgs, OptionArgs, Order, RequeueOrder};
use crate::config::Config;

/// Alerts that failed, expired, were cancelled or are partial are sent again, to the recipients that do not have them.
/// Age and attempts count anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sendport requeue 4711
  sendport requeue --cause mailbox-full --since 1d
  sendport requeue --relay main --status failed --dry-run     count first
  sendport requeue 4711 --recipients all --new-message-id     also to those that have it
  sendport requeue --all --recipients redirected              those whose message a redirect sent elsewhere")]
pub(super) struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    /// failed: those that do not have it; all: also those that it was relayed to; redirected: those whose message went to
    /// the address of a redirect
    #[arg(long, value_name = "WHICH", default_value = "failed", value_parser = recipients)]
    recipients: RequeueRecipients,
    /// Give the message a new Message-ID; one that a program submitted whole (intake, pickup folder, sendmail) keeps its own
    #[arg(long)]
    new_message_id: bool,
    #[command(flatten)]
    options: OptionArgs,
}

fn recipients(text: &str) -> Result<RequeueRecipients, UnknownWord> {
    text.parse()
}

pub(super) async fn run(args: Args, config: Config) -> Result<(), Failure> {
    let order = Order {
        verb: OperatorVerb::Requeue,
        filter: args.filter,
        ends: None,
        redirect_to: None,
        requeue: Some(RequeueOrder {
            recipients: args.recipients,
            new_message_id: args.new_message_id,
        }),
        options: args.options,
    };
    operator_verb::run(order, config).await
}
