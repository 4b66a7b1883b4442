use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use super::*;

fn key(name: &str) -> TemplateKey {
    TemplateKey {
        name: name.to_owned(),
        text: 0,
    }
}

/// Asks a future once.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// What all of them give, in order.
async fn all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let Poll::Ready(it) = future.as_mut().poll(context)
            {
                *output = Some(it);
            }
        }
        match outputs.iter().all(Option::is_some) {
            true => Poll::Ready(outputs.drain(..).flatten().collect()),
            false => Poll::Pending,
        }
    })
    .await
}

/// A turn that is free at once.
async fn taken<'a>(turns: &'a Turns, send_port: &str, template: &TemplateKey) -> Turn<'a> {
    let turn = turns.take(send_port, Some((template, AlertId(0)))).await;
    turn.expect("a turn")
}

/// However many alerts of one send port wait: a worker that becomes free goes to another port's
/// alert after one of them at most.
#[tokio::test]
async fn send_ports_have_workers_in_turn() {
    let (turns, template) = (Turns::default(), key("good"));
    let mut working = vec![
        taken(&turns, "many", &template).await,
        taken(&turns, "many", &template).await,
    ];
    let ports = [vec!["many"; 1000], vec!["few"; 2]].concat();
    let mut waiting: Vec<_> = ports
        .iter()
        .map(|port| Some(Box::pin(turns.take(port, Some((&template, AlertId(0)))))))
        .collect();
    let mut served = Vec::new();
    while served.len() < 4 {
        // Twice: the first of a queue makes way for the next one.
        for (port, slot) in [ports.iter().zip(&mut waiting)].into_iter().flatten() {
            let Some(future) = slot else { continue };
            if let Poll::Ready(turn) = poll(future.as_mut()) {
                *slot = None;
                served.push(*port);
                working.push(turn.unwrap_or_else(|busy| panic!("{busy:?}")));
            }
        }
        working.remove(0);
    }
    assert_eq!(served, ["many", "few", "many", "few"]);
}

/// The others always have a worker; a deferred alert gets the reason and the time of its next try.
#[tokio::test]
async fn suspects_have_one_worker_and_do_not_wait_for_it() {
    let (turns, good) = (Turns::default(), key("good"));
    let bad = [key("bad"), key("worse")];
    for template in &bad {
        assert!(turns.note(template, "takes time"));
    }
    let slow = taken(&turns, "a", &bad[0]).await;
    assert!(slow.is_slow());
    for template in bad.iter().cycle().take(100) {
        let busy = turns.take("a", Some((template, AlertId(7)))).await;
        let busy = busy.err().expect("sent away");
        assert_eq!(busy.what, "takes time");
        assert!(!busy.retry_in.is_zero(), "{busy:?}");
        assert!(!taken(&turns, "a", &good).await.is_slow());
    }
    drop(slow);
    assert!(taken(&turns, "a", &bad[1]).await.is_slow());
}

/// Those that wait for a worker when their template becomes suspect are sent away, all but one.
#[tokio::test]
async fn waiting_alerts_are_released_when_the_template_becomes_suspect() {
    let (turns, bad, good) = (Turns::default(), key("bad"), key("good"));
    let first = taken(&turns, "a", &bad).await;
    let _second = taken(&turns, "b", &good).await;
    let mut waiting: Vec<_> = (0..50)
        .map(|alert| Box::pin(turns.take("a", Some((&bad, AlertId(alert))))))
        .collect();
    for turn in &mut waiting {
        assert!(poll(turn.as_mut()).is_pending());
    }
    turns.note(&bad, "takes time");
    drop(first);
    let served = all(waiting).await;
    let (let_in, sent_away): (Vec<_>, Vec<_>) = served.into_iter().partition(Result::is_ok);
    assert_eq!((let_in.len(), sent_away.len()), (1, 49));
}

/// A good alert of a suspect template takes its turn after the one before it.
#[tokio::test]
async fn quick_alerts_of_a_suspect_go_one_after_the_other() {
    let (turns, bad) = (Turns::default(), key("bad"));
    turns.note(&bad, "takes time");
    let slow = taken(&turns, "a", &bad).await;
    let mut waiting: Vec<_> = (0..20)
        .map(|alert| Box::pin(turns.take("a", Some((&bad, AlertId(alert))))))
        .collect();
    for turn in &mut waiting {
        assert!(poll(turn.as_mut()).is_pending());
    }
    drop(slow);
    let quick = waiting.into_iter().map(async |turn| turn.await.is_ok());
    assert_eq!(all(quick.collect()).await, [true; 20]);
    let again = pin!(turns.take("a", Some((&bad, AlertId(0)))));
    assert!(poll(again).is_ready());
}
