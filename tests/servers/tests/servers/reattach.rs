//! Servers that are killed or stopped in the middle of an answer which the model's server goes on with: another one reads
//! the very answer on.

use libtest_mimic::Trial;
use serde_json::{Value, json};
use tokio::time::sleep;
use unbroken::log::SessionId;

use crate::{
    kills::rounds,
    support::{
        Checked, Error,
        client::{Answer, Disconnected, read, send, start_with_tools},
        cluster::Cluster,
        engine::Engine,
        in_time,
        received::{Event, Received},
        rng::Rng,
        server::Server,
        upstream::{ModelServer, said, turn},
    },
};

const LEASE: std::time::Duration = std::time::Duration::from_secs(1);

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for engine in Engine::SHARED {
        trials.push(engine.trial(
            "a_lost_server_costs_neither_a_token_nor_another_request_of_the_model",
            lost_servers,
        ));
        trials.push(engine.trial(
            "without_the_background_an_answer_ends_with_its_server",
            in_the_foreground,
        ));
    }
    trials
}

/// A point of an answer at which its server is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct LossPoint {
    turn: usize,
    /// The number of events that the turn has at it.
    events: usize,
}

/// The servers and the model of a trial.
struct Trouble {
    cluster: Cluster,
    model: ModelServer,
    servers: Vec<Server>,
    stopped: Vec<Server>,
    rng: Rng,
}

impl Trouble {
    async fn new(engine: Engine, in_background: bool) -> Result<Self, Error> {
        let model = ModelServer::start().await?;
        let cluster = Cluster::new(engine, LEASE, "reattach")?.upstream(model.url(), in_background);
        Ok(Self {
            servers: vec![cluster.start().await?, cluster.start().await?],
            stopped: Vec::new(),
            cluster,
            model,
            rng: Rng::new(),
        })
    }

    /// Reads an answer whose server is lost at these points, in order.
    async fn answer(&mut self, with_tool: bool, losses: &[LossPoint]) -> Result<Received, Error> {
        let id = SessionId::random();
        let turns = turns(with_tool);
        let next = |turn: usize, at: usize| {
            let of_turn = |loss: &&LossPoint| loss.turn == turn;
            let next = losses[at..].iter().find(of_turn);
            next.map_or(usize::MAX, |loss| loss.events)
        };
        self.model
            .begin((0..turns.len()).map(|turn| next(turn, 0)).collect());
        let question = if with_tool { "with a tool" } else { "plain" };
        let mut received = Received::default();
        let request = start_with_tools(id.as_str(), question);
        let mut answer = Some(send(self.servers[0].addr, request).await.map_err(lost)?);
        for (at, loss) in losses.iter().enumerate() {
            let before = turns[..loss.turn].iter().flatten();
            let until = before.chain(&turns[loss.turn][..loss.events]);
            let chars = until.map(|event| said(event).len()).sum::<usize>();
            // The end of a piece of arguments may wait for the next one.
            let has_call = |event: &Value| event["type"] == "response.output_item.added";
            let in_call = turns[loss.turn][..loss.events].iter().any(has_call);
            let waits = if in_call { 4 } else { 0 };
            let enough = |received: &Received| chars_of(received) + waits >= chars;
            let read = self.read_until(&id, &mut answer, &mut received, enough);
            if let Err(error) = read.await {
                return Err(format!("{error}; of {loss:?} after {:?}", folded(&received)).into());
            }
            sleep(self.rng.millis(30)).await;
            let server = self.servers.remove(0);
            if self.rng.below(2) == 0 {
                server.kill();
            } else {
                server.pause()?;
                self.stopped.push(server);
            }
            answer = None;
            self.servers.push(self.cluster.start().await?);
            self.model.release(loss.turn, next(loss.turn, at + 1));
        }
        let read = self.read_until(&id, &mut answer, &mut received, |_| false);
        if let Err(error) = read.await {
            return Err(format!("{error}; of {losses:?} after {:?}", folded(&received)).into());
        }
        let tools = self.cluster.call_log.lines("tool", id.as_str()).len();
        assert_eq!(
            tools,
            usize::from(with_tool && received.0.last().is_some_and(is_complete))
        );
        Ok(received)
    }

    /// Reads an answer from a server that runs until enough is received, or to its end.
    async fn read_until(
        &self,
        id: &SessionId,
        answer: &mut Option<Answer>,
        received: &mut Received,
        enough: impl Fn(&Received) -> bool,
    ) -> Checked {
        let more = async {
            while !enough(received) && !received.has_ended() {
                let Some(reading) = answer else {
                    let request = read(id.as_str(), received.last());
                    match send(self.servers[0].addr, request).await {
                        Ok(found) if found.status().is_success() => *answer = Some(found),
                        _ => sleep(std::time::Duration::from_millis(5)).await,
                    }
                    continue;
                };
                match reading.next().await {
                    Ok(Some(event)) => received.push(event)?,
                    Ok(None) | Err(Disconnected) => *answer = None,
                }
            }
            Ok::<_, Error>(())
        };
        in_time("more of an answer", more).await?
    }

    async fn clean_up(self) -> Checked {
        drop((self.servers, self.stopped));
        self.cluster.clean_up().await
    }
}

fn lost(_: Disconnected) -> Error {
    "a server doesn't answer".into()
}

fn turns(with_tool: bool) -> Vec<Vec<Value>> {
    if with_tool {
        vec![turn('a', true), turn('b', false)]
    } else {
        vec![turn('a', false)]
    }
}

fn chars_of(received: &Received) -> usize {
    let texts = received.0.iter();
    texts.map(|event| text_of(event).len()).sum()
}

fn text_of(event: &Event) -> &str {
    let name = match event.kind() {
        "text" => "content",
        "tool_input" => "delta",
        _ => return "",
    };
    event.data[name].as_str().unwrap_or_default()
}

fn is_complete(event: &Event) -> bool {
    event.kind() == "complete"
}

/// Returns the answer without the borders of its pieces.
fn folded(received: &Received) -> Vec<Value> {
    let mut folded: Vec<Value> = Vec::new();
    // Positions in the stream stand where they happen to be.
    let events = received.0.iter();
    for event in events.filter(|event| event.data["of"] != "stream") {
        let kind = event.kind();
        if let ("text" | "tool_input", Some(last)) = (kind, folded.last_mut())
            && last["type"] == kind
        {
            let joined = [last["said"].as_str().unwrap_or_default(), text_of(event)].concat();
            last["said"] = joined.into();
            continue;
        }
        folded.push(match kind {
            "text" | "tool_input" => json!({"type": kind, "said": text_of(event)}),
            "session_info" => continue,
            _ => event.data.clone(),
        });
    }
    folded
}

async fn lost_servers(engine: Engine) -> Checked {
    let mut trouble = Trouble::new(engine, true).await?;
    let tried = rounds_of(&mut trouble).await;
    trouble.clean_up().await?;
    println!(
        "{}: {} servers were lost in the middle of an answer",
        engine.name(),
        tried?
    );
    Ok(())
}

async fn rounds_of(trouble: &mut Trouble) -> Result<usize, Error> {
    let mut expected = Vec::new();
    for with_tool in [false, true] {
        expected.push(folded(&trouble.answer(with_tool, &[]).await?));
    }
    let mut lost = 0;
    for round in 0..rounds(10) {
        let with_tool = round % 2 == 1;
        let turns = turns(with_tool);
        let mut losses = Vec::new();
        for _ in 0..=round % 3 / 2 {
            let turn = trouble.rng.index(turns.len());
            // The log has the response's id, and the turn isn't over.
            let events = 2 + trouble.rng.index(turns[turn].len() - 3);
            losses.push(LossPoint { turn, events });
        }
        losses.sort_unstable();
        losses.dedup();
        let received = trouble.answer(with_tool, &losses).await?;
        let found = folded(&received);
        let of = format!("round {round}, {losses:?}");
        if found != expected[usize::from(with_tool)] {
            return Err(format!("{of}: {found:#?}").into());
        }
        let (posts, reads) = (trouble.model.posts(), trouble.model.reads());
        if posts != turns.len() || reads == 0 || trouble.model.cancelled() > 0 {
            let cancelled = trouble.model.cancelled();
            return Err(
                format!("{of}: {posts} requests, {reads} reads, {cancelled} cancelled").into(),
            );
        }
        // Those that were stopped find that they own nothing.
        for server in &trouble.stopped {
            server.resume()?;
        }
        lost += losses.len();
    }
    if trouble.model.cancelled() > 0 {
        return Err("a server that was stopped has cancelled an answer of another".into());
    }
    Ok(lost)
}

async fn in_the_foreground(engine: Engine) -> Checked {
    let mut trouble = Trouble::new(engine, false).await?;
    let loss = LossPoint {
        turn: 0,
        events: 30,
    };
    let received = trouble.answer(false, &[loss]).await;
    trouble.clean_up().await?;
    let received = received?;
    let last = received.last().ok_or("no event")?;
    if last.data["code"] != "interrupted" {
        return Err(format!("the loss of a server wasn't noticed: {last:?}").into());
    }
    Ok(())
}
