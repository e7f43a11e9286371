use crate::log::SessionId;

/// Returns the id of the deliveries of a session's ending.
///
/// It is the session's id, without full stops: the signature's parts are separated by them, and clients choose
/// ids. Other ids never become the same.
pub(super) fn message_id(id: &SessionId) -> String {
    let mut message = String::with_capacity(id.as_str().len());
    for character in id.as_str().chars() {
        match character {
            '.' => message.push_str("~d"),
            '~' => message.push_str("~t"),
            other => message.push(other),
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(id: &str) -> String {
        message_id(&id.parse().unwrap())
    }

    #[test]
    fn an_id_without_full_stops_and_tildes_stays_as_it_is() {
        let random = SessionId::random();
        assert_eq!(message_id(&random), random.as_str());
        let uuid = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
        assert_eq!(of(uuid), uuid);
        assert_eq!(of("under_score_and-dash-0000"), "under_score_and-dash-0000");
    }

    #[test]
    fn no_two_ids_become_one_and_none_has_a_full_stop() {
        let of_four = |text: String| {
            let ids: Vec<_> = ['.', '~', 'd', 't']
                .iter()
                .map(|it| format!("{text}{it}"))
                .collect();
            ids
        };
        let mut ids = vec!["a-name-of-22-characters".to_owned()];
        for _ in 0..4 {
            ids = ids.into_iter().flat_map(of_four).collect();
        }
        let mut messages: Vec<_> = ids.iter().map(|id| of(id)).collect();
        assert!(messages.iter().all(|it| !it.contains('.')));
        messages.sort();
        messages.dedup();
        assert_eq!(messages.len(), ids.len());
    }
}
