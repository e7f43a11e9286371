use super::refusal::{closed, too_large};
use crate::{
    chat::{Message, Part, Role, json_bytes},
    dialect::{Problem, Refusal},
};

/// Refuses earlier turns that are closed or too large, and reasoning that isn't the model's.
pub(super) fn check(
    most: Option<usize>,
    messages: &[Message],
    refusals: &super::Refusals<'_>,
) -> Result<(), Refusal> {
    let earlier = &messages[..outputs_begin(messages)];
    let earlier = earlier.iter().filter(|message| is_of_server(message));
    let bytes: Option<usize> = earlier.map(message_bytes).reduce(usize::saturating_add);
    match (bytes, most) {
        (Some(_), None) => {
            let messages = "messages of the roles `assistant` and `tool` are";
            return Err(closed(messages, "history"));
        }
        (Some(bytes), Some(most)) if bytes > most => {
            return Err(too_large(
                "the messages of the roles `assistant` and `tool`",
                bytes,
                most,
            ));
        }
        _ => {}
    }
    let is_reasoning = |part: &Part| matches!(part, Part::Reasoning(_));
    let mut others = messages.iter().filter(|it| it.role != Role::Assistant);
    if others.any(|message| message.content.parts().iter().any(is_reasoning)) {
        let reasoning = refusals.name("reasoning");
        return Err(Refusal::new(
            Problem::NotOpen,
            format!(
                "parts of the type `{reasoning}` are the model's, and belong to messages of the role \
                 `assistant` (which the application opens with `ClientFields::history`); leave them out"
            ),
        ));
    }
    Ok(())
}

/// Returns the index of the first of the messages of the role `tool` at the end, which are outputs for
/// the calls of the last turn.
pub(in crate::durable) fn outputs_begin(messages: &[Message]) -> usize {
    let outputs = messages.iter().rev();
    messages.len() - outputs.take_while(|it| it.role == Role::Tool).count()
}

fn is_of_server(message: &Message) -> bool {
    matches!(message.role, Role::Assistant | Role::Tool) || !message.tool_calls.is_empty()
}

fn message_bytes(message: &Message) -> usize {
    let calls = message.tool_calls.iter();
    let calls = calls.map(|call| {
        let state = call.provider_state.as_ref().map_or(0, json_bytes);
        call.id.len() + call.name.len() + json_bytes(&call.arguments) + state
    });
    message.content.bytes() + calls.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::{ClientFields, tests::fits};

    #[test]
    fn reasoning_and_provider_state_are_open_with_the_history_in_turns_of_the_model_only() {
        let state = json!({"provider": "openai", "data": {"reasoning_details": [{"text": "Hm."}]}});
        let part = json!({"type": "reasoning", "text": "Hm.", "providerState": state});
        let call = json!({"id": "1", "name": "now", "arguments": {}, "providerState": state});
        let user = json!({"role": "user", "content": "So?"});
        let open = ClientFields::nothing().history(1_000).system_role();
        let turn = json!({"role": "assistant", "content": [part, {"type": "text", "text": "Hello"}],
                   "tool_calls": [call]});
        let whole = json!({"messages": [turn, user]});
        fits(&open, &whole).unwrap();
        for (closed, named) in [
            (ClientFields::nothing(), "ClientFields::history"),
            (ClientFields::nothing().history(60), "60 are open"),
        ] {
            let refusal = fits(&closed, &whole).unwrap_err();
            assert!(refusal.detail.contains(named), "{}", refusal.detail);
        }
        for role in ["user", "system", "tool"] {
            let message = json!({"role": role, "content": [part], "tool_call_id": "1"});
            let refusal = fits(&open, &json!({"messages": [message]})).unwrap_err();
            for word in ["`reasoning`", "`assistant`", "ClientFields::history"] {
                assert!(refusal.detail.contains(word), "{role}: {}", refusal.detail);
            }
        }
    }
}
