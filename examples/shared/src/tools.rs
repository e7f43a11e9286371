//! The tools of the chat examples: one that takes some time, one that needs approval, and one that asks
//! the user. Their results are made up, and nothing leaves this process.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use unbroken::{
    BoxError,
    tools::{Call, ToolFailure, Tools, tool_fn},
};

/// Returns the tools that the model of a chat example may call.
pub(crate) fn tools() -> Tools {
    Tools::new()
        .with(tool_fn("weather", "The weather in a city today.", weather).idempotent())
        .with(
            tool_fn("send_mail", "Sends an e-mail for the user.", send_mail)
                .approved_if(|mail| Some(format!("Send this mail to {}?", mail["to"].as_str()?))),
        )
        .with(tool_fn(
            "book_table",
            "Books a table at a restaurant; asks the user for the details by itself.",
            book_table,
        ))
}

#[derive(Deserialize, JsonSchema)]
struct Place {
    /// The city.
    #[schemars(example = &"Oslo")]
    city: String,
}

/// Reports progress while it runs. It is idempotent, so a server that takes over runs it again.
async fn weather(Place { city }: Place, call: Call) -> Result<serde_json::Value, BoxError> {
    if city.trim().is_empty() {
        // The model and the user get this message; the text of any other error is hidden.
        return Err(ToolFailure::new("no city, no weather").into());
    }
    call.progress(format!("Asking around in {city}"));
    for station in 1..=4 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        call.progress_of(f64::from(station), Some(4.0));
    }
    let dice = city.bytes().map(usize::from).sum::<usize>();
    let sky = ["snow", "rain", "clouds", "a clear sky"][dice % 4];
    Ok(json!({"city": city, "sky": sky, "celsius": dice % 27}))
}

#[derive(Deserialize, JsonSchema)]
struct Mail {
    /// The address.
    #[schemars(example = &"ada@example.org")]
    to: String,
    #[schemars(example = &"Lunch")]
    subject: String,
    #[schemars(example = &"Shall we meet at noon?")]
    text: String,
}

/// Runs after approval only, and at most once for a call.
async fn send_mail(mail: Mail, _: Call) -> Result<String, BoxError> {
    let Mail { to, subject, text } = mail;
    let length = text.len();
    Ok(format!(
        "“{subject}” ({length} bytes) went to {to}; or would have, in earnest."
    ))
}

#[derive(Deserialize, JsonSchema)]
struct Restaurant {
    /// Its name.
    #[schemars(example = &"The Log Cabin")]
    restaurant: String,
}

/// The answer to the question. The page makes a form of its schema, and the server checks the answer.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Table {
    name: String,
    #[schemars(range(min = 1, max = 12))]
    people: u8,
    /// Like 19:30.
    #[schemars(regex(pattern = r"^([01]\d|2[0-3]):[0-5]\d$"))]
    time: String,
    place: Spot,
    #[serde(default)]
    high_chair: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Spot {
    Inside,
    Terrace,
}

/// Asks the user, and repeats the question if there is no such table.
async fn book_table(at: Restaurant, call: Call) -> Result<Table, BoxError> {
    let Restaurant { restaurant } = at;
    let mut message = format!("A table at {restaurant}:");
    loop {
        let table: Table = call.ask_for(&message).await?;
        if table.people <= 8 || matches!(table.place, Spot::Terrace) {
            return Ok(table);
        }
        message = format!("{restaurant} has no table for more than eight inside. And now?");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_tool_of_each_kind() {
        let names = tools();
        let names: Vec<_> = names.names().collect();
        assert_eq!(names, ["weather", "send_mail", "book_table"]);
    }
}
