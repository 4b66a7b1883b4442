use super::*;
use crate::clock::SystemClock;
use crate::domain::{CommandReply, SessionFacts, Timestamp};
use crate::relay::discard::DiscardRelay;

fn board() -> RelayBoard {
    let clock = Arc::new(SystemClock);
    let relay: Arc<dyn Relay> = Arc::new(DiscardRelay::new("main", clock.clone()));
    let (events, _) = mpsc::unbounded_channel();
    RelayBoard::new(vec![relay], Arc::new(ReplyTable::built_in()), clock, events)
}

fn answered(command: Command, code: u16) -> SubmissionReport {
    let reply = Reply::new(command, code, None, "overloaded");
    SubmissionReport {
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: Timestamp::UNIX_EPOCH,
        facts: SessionFacts {
            remote_address: Some("192.0.2.1:25".to_owned()),
            ..SessionFacts::default()
        },
        replies: vec![CommandReply {
            ordinal: None,
            reply,
        }],
        end: SubmissionEnd::Answered,
    }
}

async fn report_of_three_alerts(report: &SubmissionReport) -> RelayCondition {
    let board = board();
    for alert in 1..=3 {
        let turn = board.take_turn("main").await.expect("closed until now");
        board.report(turn, AlertId(alert), report);
    }
    board.states()[0].condition
}

#[tokio::test]
async fn three_alerts_answered_421_after_the_final_dot_open_the_circuit() {
    let goodbye = answered(Command::EndOfData, 421);
    assert_eq!(report_of_three_alerts(&goodbye).await, RelayCondition::Open);
    let busy = answered(Command::EndOfData, 451);
    assert_eq!(report_of_three_alerts(&busy).await, RelayCondition::Closed);
}

#[tokio::test]
async fn what_is_refused_here_says_nothing_about_the_relay() {
    let board = board();
    let turn = board.take_turn("main").await.expect("closed until now");
    let unreachable = SubmissionReport {
        end: SubmissionEnd::NotBegun {
            reply: Reply::absent(Command::Connect, "connection refused"),
            fault: None,
        },
        ..answered(Command::Connect, 0)
    };
    let begun_before = board.take_turn("main").await.expect("closed until now");
    board.report(turn, AlertId(1), &unreachable);
    assert_eq!(board.states()[0].condition, RelayCondition::Open);
    let refused_here = SubmissionReport {
        facts: SessionFacts::default(),
        ..answered(Command::Mail, 554)
    };
    board.report(begun_before, AlertId(2), &refused_here);
    assert_eq!(board.states()[0].condition, RelayCondition::Open);
}
