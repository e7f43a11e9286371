use super::{FAMILIES, Family, asked, content, kinds, numbered, taken_over};
use serde_json::Value;
use unbroken::durable::Recovery;

const PIECES: [&str; 7] = [
    "Paris",
    " became",
    " the capital",
    " under",
    " Clovis",
    ", who",
    " died.",
];
const OTHER: &str = "Paris became the seat of kings.";

/// The ways in which a model takes a partial answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Model {
    GoesOn,
    RepeatsWords,
    RepeatsAll,
    BeginsAnew,
}

impl Model {
    /// Returns the text that is added to the first pieces.
    fn new_text(self, cut: usize) -> String {
        match self {
            Self::GoesOn => PIECES[cut..].concat(),
            Self::RepeatsWords => {
                let from = cut.saturating_sub(2);
                PIECES[from..].concat().trim_start().to_owned()
            }
            Self::RepeatsAll => PIECES.concat(),
            Self::BeginsAnew => OTHER.to_owned(),
        }
    }
}

/// Cuts an answer after so many pieces. Returns the log, and the bodies of the requests to the model.
async fn cut(
    family: Family,
    model: Model,
    cut: usize,
    pieces: usize,
    recovery: Recovery,
) -> (Vec<Value>, Vec<Value>) {
    let mut stub = numbered(move |number, _| match number {
        0 => family.partial(PIECES.into_iter().take(cut)),
        1 => {
            let new: Vec<_> = model.new_text(cut).chars().collect();
            let pieces: Vec<String> = new.chunks(pieces).map(|it| it.iter().collect()).collect();
            family.answer(pieces.iter().map(String::as_str))
        }
        _ => family.answer([OTHER]),
    })
    .await;
    let provider = family.provider(&stub, true);
    let last = PIECES[cut - 1];
    let events = taken_over(
        [provider.clone(), provider],
        recovery,
        &format!("\"{last}\""),
    )
    .await;
    (events, asked(&mut stub))
}

#[tokio::test]
async fn at_each_cut_the_answer_is_whole_and_nothing_stands_twice() {
    for family in FAMILIES {
        for model in [Model::GoesOn, Model::RepeatsWords, Model::RepeatsAll] {
            for at in 1..PIECES.len() {
                for pieces in [1, 5, 100] {
                    let recovery = Recovery::new().resume();
                    let (events, asked) = cut(family, model, at, pieces, recovery).await;
                    let what = format!("{family:?} {model:?} {at} {pieces}: {events:?}");
                    assert_eq!(content(&events, "text"), PIECES.concat(), "{what}");
                    assert_eq!(kinds(&events).last(), Some(&"complete"), "{what}");
                    assert_eq!(asked.len(), 2, "{what}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_begins_anew_is_declined_and_the_next_way_is_gone() {
    for family in FAMILIES {
        for at in 3..PIECES.len() {
            let recovery = Recovery::new().resume().restart();
            let (events, asked) = cut(family, Model::BeginsAnew, at, 2, recovery).await;
            let what = format!("{family:?} {at}: {events:?}");
            let restarted = kinds(&events).iter().position(|it| *it == "restarted");
            let restarted = restarted.expect("clients are told to begin anew");
            let before = content(&events[..restarted], "text");
            assert_eq!(
                before,
                PIECES[..at].concat(),
                "nothing of it is stored: {what}"
            );
            assert_eq!(content(&events, "text"), OTHER, "{what}");
            assert_eq!(asked.len(), 3, "{what}");
            assert_eq!(asked[2]["messages"].as_array().unwrap().len(), 1);
        }
    }
}

#[tokio::test]
async fn without_another_way_the_error_says_that_the_answer_began_anew() {
    for family in FAMILIES {
        let recovery = Recovery::new().resume();
        let (events, _) = cut(family, Model::BeginsAnew, 4, 3, recovery).await;
        assert_eq!(content(&events, "text"), PIECES[..4].concat());
        let ending = events.last().unwrap();
        assert_eq!(ending["code"], "interrupted", "{ending}");
        let message = ending["message"].as_str().unwrap();
        assert!(
            message.contains("resume: the model began its answer anew"),
            "{message}"
        );
    }
}

/// The control: the answers as clients would see them.
#[tokio::test]
async fn without_the_check_words_stand_twice() {
    for family in FAMILIES {
        for model in [Model::RepeatsWords, Model::RepeatsAll, Model::BeginsAnew] {
            let recovery = Recovery::new().resume().restart().check_seam(false);
            let (events, _) = cut(family, model, 4, 3, recovery).await;
            let doubled = PIECES[..4].concat() + &model.new_text(4);
            assert_eq!(content(&events, "text"), doubled, "{family:?} {model:?}");
        }
    }
}

#[tokio::test]
async fn a_model_that_cannot_go_on_declines_in_the_middle_of_a_text() {
    for family in FAMILIES {
        let mut stub = numbered(move |_, _| family.partial(["Paris", " became"])).await;
        let provider = family.provider(&stub, false);
        let events = taken_over(
            [provider.clone(), provider],
            Recovery::new().resume(),
            " became",
        )
        .await;
        assert_eq!(events.last().unwrap()["code"], "interrupted");
        assert_eq!(asked(&mut stub).len(), 1, "nothing was sent");
    }
}

#[tokio::test]
async fn a_turn_that_was_cut_in_its_thinking_is_begun_anew_and_the_same_thought_stands_once() {
    for family in FAMILIES {
        for (thought, in_the_log) in [
            ("They ask for a city.", "They ask for a city."),
            ("Cities.", "They ask forCities."),
        ] {
            let mut stub = numbered(move |number, _| {
                let mut steps = match number {
                    0 => family.partial([]),
                    _ => family.answer(["Paris."]),
                };
                let thought = if number == 0 { "They ask for" } else { thought };
                steps.insert(1, family.thought(thought));
                steps
            })
            .await;
            // Every provider begins it.
            let provider = family.provider(&stub, false);
            let events = taken_over(
                [provider.clone(), provider],
                Recovery::new().resume(),
                "They ask for",
            )
            .await;
            assert_eq!(content(&events, "thinking"), in_the_log, "{events:?}");
            assert_eq!(content(&events, "text"), "Paris.");
            assert_eq!(asked(&mut stub)[1]["messages"].as_array().unwrap().len(), 1);
        }
    }
}
