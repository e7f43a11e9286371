use proptest::prelude::*;

use super::*;

/// Returns the joined text; `None` if the new one begins anew.
fn joined<'a>(partial: &str, pieces: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut judge = SeamJudge::new(partial.to_owned());
    let (mut new, mut verdict) = (String::new(), SeamVerdict::Open);
    for piece in pieces {
        new.push_str(piece);
        if verdict == SeamVerdict::Open {
            verdict = judge.push(piece);
        }
    }
    if verdict == SeamVerdict::Open {
        verdict = judge.finish();
    }
    match verdict {
        SeamVerdict::GoesOn { repeated, .. } => Some(format!("{partial}{}", &new[repeated..])),
        SeamVerdict::BeginsAnew => None,
        SeamVerdict::Open => panic!("no verdict"),
    }
}

/// Returns the bytes of the new text until its verdict.
fn held(partial: &str, new: &str) -> usize {
    let mut judge = SeamJudge::new(partial.to_owned());
    let bytes = new.char_indices().find_map(|(at, next)| {
        let verdict = judge.push(next.encode_utf8(&mut [0; 4]));
        (verdict != SeamVerdict::Open).then_some(at + next.len_utf8())
    });
    bytes.unwrap_or(usize::MAX)
}

const PARTIAL: &str = "The capital of France is Paris, and the largest city of Fra";

#[test]
fn text_that_goes_on_passes_unchanged() {
    for (partial, new) in [
        (PARTIAL, "nce is Paris, too."),
        (PARTIAL, ""),
        // As the beginning, by chance.
        (PARTIAL, "The"),
        (PARTIAL, "The c"),
        ("Hel", "lo"),
        ("1 2 3 4 5 6 7 8 9 10 ", "11 12 13"),
        (" ", " "),
        ("It is", " is it not"),
        ("I think that ", "that is so"),
        ("The", "re is"),
        ("I can", "can"),
        ("ha", "haha"),
        (
            "ha ha ha ha ha ha ha ha ha ha ",
            "ha ha ha ha ha ha ha ha ha ha ha",
        ),
        ("la la la la", "la la la la la la la la la la la la"),
        ("hahahaha", "hahahahaha"),
        ("again and again", " and again and again"),
        ("over and over", " and over"),
        ("Let it be, let it be, ", "let it be, let it be"),
        ("Let it snow! Let it snow! ", "Let it snow!"),
        ("New York, ", "New York"),
        (
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==",
        ),
        ("哈哈哈", "哈哈哈哈"),
        ("我喜欢苹果。", "我喜欢香蕉。"),
    ] {
        assert_eq!(joined(partial, [new]), Some(format!("{partial}{new}")));
    }
}

#[test]
fn lists_code_and_songs_may_repeat_themselves() {
    for (partial, new) in [
        ("- one\n- ", "- two"),
        ("# One\n\n- a\n- b\n\n# ", "# Two"),
        ("1. The first of them\n2. ", "The second of them"),
        (
            "## Step 1: First of all, read it.\n",
            "## Step 2: First of all, write it.",
        ),
        ("if a {\n    if b {\n        c();\n    }\n", "    }\n}\n"),
        ("        }\n", "        }\n    }\n"),
        ("    return None;\n", "    return None;\n"),
        ("<ul>\n  <li>\n    <b>x</b>\n  </li>\n", "  </li>\n</ul>"),
        ("<div>\n", "<div>\n<p>"),
        ("let a: HashMap<String, ", "HashMap<String, u8>>"),
        (
            "[[0, 0, 0, 0, 0, 0, 0, 0, 0],\n",
            " [0, 0, 0, 0, 0, 0, 0, 0, 0],\n",
        ),
        (
            " [1, 0, 0, 0, 0, 0, 0, 0, 0],\n",
            " [1, 0, 0, 0, 0, 0, 0, 0, 0],\n",
        ),
        ("| name | age |\n| --- | --- |\n| --- | ", "--- | --- |"),
        ("| --- | --- | --- | --- | ", "| --- | --- | --- | --- |"),
        (
            "INSERT INTO t (a, b) VALUES (1, 2);\n",
            "INSERT INTO t (a, b) VALUES (3, 4);\n",
        ),
        (
            "{\"id\": 1, \"name\": \"Ann\"}\n",
            "{\"id\": 2, \"name\": \"Bob\"}\n",
        ),
        // Lines that come twice.
        (
            "Happy birthday to you,\n",
            "Happy birthday to you,\nHappy birthday dear",
        ),
        (
            "Happy birthday to you,\nHappy birthday",
            " to you,\nHappy birthday dear",
        ),
        (
            "Sing:\nWe wish you a merry Christmas,\n",
            "We wish you a merry Christmas,\n",
        ),
        (
            "Sing:\nWe wish you a merry Christmas,\nWe wish",
            " you a merry Christmas,\nWe wish",
        ),
        (
            "x = 1\nassert_equal(total, sum_of(items))\n",
            "assert_equal(total, sum_of(items))\n",
        ),
        // A name of which the first word of the answer is a part.
        ("Widget is the class. Its methods: get", "Widget, set"),
        ("Python is a language.\n\n**", "Python** has"),
    ] {
        assert_eq!(joined(partial, [new]), Some(format!("{partial}{new}")));
    }
}

#[test]
fn words_that_come_again_are_cut_off() {
    for (partial, new, whole) in [
        (PARTIAL, "the largest city of France.", "nce."),
        (PARTIAL, "largest city of France.", "nce."),
        (PARTIAL, "city of Fra", ""),
        ("The fox jumps over", "jumps over the dog", " the dog"),
        ("The capital is Paris", "Paris, of", ", of"),
        (
            "Sure:\n\n1. The first\n2. The sec",
            "1. The first\n2. The second",
            "ond",
        ),
        ("- one item\n- another it", "- another item", "em"),
        (
            "Said: the quick brown fox jumps ",
            "the quick brown fox jumps over",
            "over",
        ),
        (
            "so the quick brown fox jumps over",
            " the quick brown fox jumps over it",
            " it",
        ),
        (
            "我们今天去公园散步，然后",
            "今天去公园散步，然后回家。",
            "回家。",
        ),
    ] {
        assert_eq!(
            joined(partial, [new]),
            Some(format!("{partial}{whole}")),
            "{partial}|{new}"
        );
    }
}

#[test]
fn a_partial_text_that_comes_again_as_a_whole_is_cut_off() {
    let long = "One line of many words. ".repeat(3) + &"Another one, ".repeat(200);
    for partial in [
        PARTIAL,
        "Hel",
        "Hello wor",
        "The quick brown ",
        "Sure! Here is the list:\n\n",
        "# Title of it\n\n- one\n- tw",
        "{\"name\": \"Ann\", \"items\": [\"a",
        "我们今天去公园散步，然后",
        "Ünï côdé wörd",
        &long,
    ] {
        let new = format!("{partial}! And on.");
        assert_eq!(joined(partial, [&*new]), Some(new), "{partial}");
    }
    let spaced = format!("\n\n{PARTIAL}nce.");
    assert_eq!(joined(PARTIAL, [&*spaced]), Some(format!("{PARTIAL}nce.")));
}

#[test]
fn an_answer_that_begins_anew_and_differs_is_noticed() {
    let long = "One line of many words. ".repeat(3) + &"Another one, ".repeat(200);
    for (partial, new) in [
        (PARTIAL, "The capital of France is Lyon."),
        (PARTIAL, "The capital is"),
        (PARTIAL, " The capital of France is Lyon."),
        (
            "Title\n\nAll of the first words.\nMo",
            "\nTitle\n\nAll of the first words.\nLess",
        ),
        // It ends before it differs.
        (PARTIAL, "The capital of France"),
        ("Hello wor", "Hello wonderful"),
        (
            "Sure! Here are some words. ",
            "Sure! Here are some words, too",
        ),
        ("# Title of it\n\n- one\n- tw", "# Title of that"),
        ("我们今天去公园散步，然后", "我们今天去公园散步。"),
        (&long, &format!("{}!", &long[..1500])),
        (&long, &long[..2000]),
    ] {
        assert_eq!(joined(partial, [new]), None, "{partial}|{new}");
    }
}

/// The documentation names these.
#[test]
fn less_than_a_few_words_is_not_noticed() {
    for (partial, new) in [
        ("The capital is Par", "Paris"),
        ("Hello there", "Hello! I am"),
        ("The fox jumps ", "jumps over"),
        (
            PARTIAL,
            "France's capital, Paris, is also its largest city.",
        ),
    ] {
        assert_eq!(joined(partial, [new]), Some(format!("{partial}{new}")));
    }
}

#[test]
fn text_is_held_no_longer_than_it_may_be_a_repeat() {
    assert_eq!(held(PARTIAL, "nce is"), 1);
    assert_eq!(held(PARTIAL, "city of Paris"), "city of P".len());
    // As the beginning of the partial text, but no sign of anything.
    let zeros = "0, ".repeat(100_000);
    assert_eq!(held(&zeros, &zeros), WINDOW);
    let space = " ".repeat(5_000);
    assert_eq!(held(PARTIAL, &space), WINDOW);
    // No longer kept, but still compared.
    let long = format!("One line of many words. {}", "Another one, ".repeat(2_000));
    let mut judge = SeamJudge::new(long.clone());
    assert_eq!(judge.push(&long[..WINDOW - 1]), SeamVerdict::Open);
    assert!(!judge.is_sure());
    assert_eq!(judge.push(&long[WINDOW - 1..20_000]), SeamVerdict::Open);
    assert!(judge.is_sure());
}

/// Words of few letters, which repeat each other.
fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "one", "two", "three", "four", "a", "- ", "\n", ", ", " ", " ", " ", "é", "我", "你好",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

/// A partial text, and a new one that is often like it.
fn seam() -> impl Strategy<Value = (String, String)> {
    (text(), text(), any::<prop::sample::Index>(), 0..4).prop_map(|(partial, rest, at, kind)| {
        let places: Vec<_> = partial.char_indices().map(|(at, _)| at).collect();
        let at = if places.is_empty() {
            0
        } else {
            *at.get(&places)
        };
        let new = match kind {
            0 => rest,
            1 => format!("{}{rest}", &partial[at..]),
            2 => format!("{}{rest}", &partial[..at]),
            _ => format!("{partial}{rest}"),
        };
        (partial, new)
    })
}

proptest! {
    #[test]
    fn a_verdict_does_not_depend_on_how_the_text_is_split((partial, new) in seam()) {
        let whole = joined(&partial, [&*new]);
        let chars: Vec<_> = new.split_inclusive(|_: char| true).collect();
        prop_assert_eq!(&joined(&partial, chars), &whole);
        for (at, _) in new.char_indices() {
            prop_assert_eq!(&joined(&partial, [&new[..at], &new[at..]]), &whole);
        }
    }

    #[test]
    fn only_a_repeat_is_cut_off((partial, new) in seam()) {
        if let Some(all) = joined(&partial, [&*new]) {
            let added = &all[partial.len()..];
            let repeated = &new[..new.len() - added.len()];
            prop_assert!(new.ends_with(added));
            prop_assert!(
                partial.ends_with(repeated) || partial.trim_start() == repeated.trim_start(),
                "{:?} is no repeat", repeated
            );
        } else {
            // It began like the partial text.
            let (begin, new) = (partial.trim_start(), new.trim_start());
            let pairs = begin.chars().zip(new.chars());
            let alike = pairs.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8());
            prop_assert!(alike.sum::<usize>() >= 8);
        }
    }

    #[test]
    fn a_text_without_a_word_of_the_partial_text_passes((partial, _) in seam(), new in "[x-z]{0,9}( [p-s]{1,9}){0,9}") {
        prop_assert_eq!(joined(&partial, [&*new]), Some(format!("{partial}{new}")));
    }
}
