//! An MCP server that counts its runs in a file.

use std::{
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, DiscoverResult,
        ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, InputRequest,
        InputRequests, InputRequiredResult, ListToolsResult, PaginatedRequestParams,
        ProgressNotificationParam, ProtocolVersion, ResourceContents, ServerCapabilities,
        ServerConfig, SubscriptionFilter, Tool, ToolAnnotations,
    },
    service::{RequestContext, SubscriptionContext},
    transport::stdio,
};
use serde_json::{Value, json};

/// The variable with the path of the log. A program that has it is a server.
pub(crate) const LOG: &str = "UNBROKEN_MCP_TEST_LOG";
/// The variable that is not empty for the version of the protocol before 2026-07-28.
pub(crate) const FORMER: &str = "UNBROKEN_MCP_TEST_FORMER";

/// The number of changes that a server tells of at once.
pub(crate) const CHANGES: usize = 200;
/// The number of questions of a call that asks without end. It is more than a call may ask.
const MANY: usize = 30;

/// The file that is there once there is one more tool.
const GROWN: &str = "grown";
/// The file that is there once there is another one.
const MORE: &str = "more";

/// Runs the server on standard input and output until its input ends.
pub(crate) fn run_on_stdio(log: PathBuf) {
    if log.with_file_name("dead").exists() {
        return;
    }
    let former = std::env::var_os(FORMER).is_some_and(|former| !former.is_empty());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let server = CountingServer::new(log, former).serve(stdio()).await;
        if let Ok(server) = server {
            let _ = server.waiting().await;
        }
    });
    runtime.shutdown_background();
}

/// Notes something in a log.
pub(crate) fn note(log: &Path, what: &str) {
    let log = OpenOptions::new().create(true).append(true).open(log);
    let Ok(mut log) = log else { return }; // the test is over
    log.write_all(format!("{what}\n").as_bytes()).unwrap();
}

#[derive(Clone)]
pub(crate) struct CountingServer {
    log: PathBuf,
    former: bool,
    // The number of times that a call has asked again.
    asked: Arc<AtomicUsize>,
}

impl CountingServer {
    pub(crate) fn new(log: PathBuf, former: bool) -> Self {
        Self {
            log,
            former,
            asked: Arc::default(),
        }
    }

    fn note(&self, what: &str) {
        note(&self.log, what);
    }

    fn set(&self, name: &str) {
        std::fs::write(self.log.with_file_name(name), "").unwrap();
    }

    fn is_set(&self, name: &str) -> bool {
        self.log.with_file_name(name).exists()
    }

    /// Returns the number of times that the server tells of a change of its tools.
    fn changes(&self) -> usize {
        if self.is_set("burst") { CHANGES } else { 1 }
    }

    /// Waits for ever, and notes that the client ended the call.
    async fn hang(&self, name: &str, context: &RequestContext<RoleServer>) {
        let note = Cancelled(self, name);
        context.ct.cancelled().await;
        drop(note);
        std::future::pending::<()>().await;
    }

    /// Asks the user for an account, by the way of the protocol's version.
    async fn ask(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<ElicitResult, CallToolResponse> {
        let question = ElicitRequestParams::FormElicitationParams {
            meta: None,
            message: if self.is_set("long") {
                "x".repeat(9 * 1024)
            } else {
                "Which account?".into()
            },
            requested_schema: serde_json::from_value(json!({
                "type": "object",
                "properties": {"account": {"type": "string", "enum": ["A", "B"]}},
                "required": ["account"],
            }))
            .unwrap(),
        };
        let version = context.protocol_version();
        let asks_more = self.is_set("often");
        if version.is_none_or(|version| version.has_initialize()) {
            let mut asked = context.peer.create_elicitation(question.clone()).await;
            for _ in 1..MANY {
                if asks_more && asked.is_ok() {
                    asked = context.peer.create_elicitation(question.clone()).await;
                }
            }
            return asked.map_err(|error| {
                let text = ContentBlock::text(format!("not asked: {error}"));
                CallToolResult::error(vec![text]).into()
            });
        }
        if self.is_set("again") {
            self.note("again");
            return Err(InputRequiredResult::new(None, Some("where it was".into())).into());
        }
        if let Some(answers) = &request.input_responses
            && !(asks_more && self.asked.fetch_add(1, SeqCst) < MANY)
        {
            assert_eq!(request.request_state.as_deref(), Some("where it was"));
            return Ok(serde_json::from_value(answers["account"].clone()).unwrap());
        }
        let question = InputRequest::Elicitation(ElicitRequest::new(question));
        let mut questions = InputRequests::from([("account".to_owned(), question.clone())]);
        if self.is_set("many") {
            let more = (1..MANY).map(|number| (format!("account{number}"), question.clone()));
            questions.extend(more);
        }
        let required = InputRequiredResult::new(Some(questions), Some("where it was".into()));
        Err(required.into())
    }
}

fn text(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::success(vec![ContentBlock::text(text)]).into()
}

fn tool(name: &'static str, properties: &Value, hints: Option<ToolAnnotations>) -> Tool {
    let Value::Object(schema) = json!({"type": "object", "properties": properties}) else {
        unreachable!()
    };
    let mut tool = Tool::new(name, format!("The tool {name}."), schema);
    tool.annotations = hints;
    tool
}

/// A PNG of one pixel.
pub(crate) const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// The beginning of a sound.
pub(crate) const TONE: &str = "UklGRiQAAABXQVZF";

/// Notes on its drop that a call was cancelled: over HTTP, the new version ends the call's future.
struct Cancelled<'a>(&'a CountingServer, &'a str);

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        self.0.note(&format!("cancelled {}", self.1));
    }
}

impl ServerHandler for CountingServer {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .build();
        ServerConfig::new(capabilities)
    }

    fn supported_protocol_versions(&self) -> std::borrow::Cow<'static, [ProtocolVersion]> {
        let all = ProtocolVersion::KNOWN_VERSIONS;
        let former = &all[..all.len() - 1];
        assert_eq!(all.last(), Some(&ProtocolVersion::V_2026_07_28));
        if self.former { former } else { all }.into()
    }

    async fn discover(&self, _: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData> {
        if self.former {
            use rmcp::model::DiscoverRequestMethod;
            return Err(ErrorData::method_not_found::<DiscoverRequestMethod>());
        }
        let versions = self.supported_protocol_versions().into_owned();
        Ok(DiscoverResult::from_server_info(versions, self.get_info()))
    }

    fn accepted_subscription_filter(
        &self,
        asked: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(asked.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        while !self.is_set(GROWN) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for _ in 0..self.changes() {
            let _ = context.sink().notify_tool_list_changed().await;
        }
        self.note("told");
        while !self.is_set(MORE) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let _ = context.sink().notify_tool_list_changed().await;
        std::future::pending().await
    }

    /// Lists the tools in pages of four.
    async fn list_tools(
        &self,
        page: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        if self.is_set("mute") {
            self.note("mute");
            std::future::pending::<()>().await;
        }
        if page.as_ref().is_none_or(|page| page.cursor.is_none()) {
            self.note("list");
        }
        while self.is_set("hold") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let reads = || Some(ToolAnnotations::new().read_only(true));
        let repeats = || Some(ToolAnnotations::new().idempotent(true).destructive(false));
        let mut tools = vec![
            tool(
                "echo",
                &json!({"text": {"type": "string", "maxLength": 5_000_000}}),
                reads(),
            ),
            tool("slow", &json!({}), None),
            tool("pay", &json!({"sum": {"type": "integer"}}), None),
            tool("book", &json!({}), repeats()),
            tool(
                "picture",
                &json!({"fails": {"type": "boolean"}, "broken": {"type": "boolean"}}),
                reads(),
            ),
            tool("weather", &json!({"wrong": {"type": "boolean"}}), reads()),
            tool("fail", &json!({}), None),
            tool("pid", &json!({}), reads()),
            tool("look", &json!({}), reads()),
            tool("act", &json!({}), None),
            tool("huge", &json!({"bytes": {"type": "integer"}}), reads()),
            tool("grow", &json!({}), reads()),
        ];
        let Value::Object(weather) = json!({
            "type": "object", "properties": {"celsius": {"type": "number"}}, "required": ["celsius"],
        }) else {
            unreachable!()
        };
        tools[5].output_schema = Some(Arc::new(weather));
        if self.is_set(GROWN) {
            tools.push(tool("grown", &json!({}), reads()));
        }
        if self.is_set(MORE) {
            tools.push(tool("more", &json!({}), reads()));
        }
        let from = page
            .and_then(|page| page.cursor)
            .map_or(0, |at| at.parse().unwrap());
        let next = (from + 4 < tools.len()).then(|| (from + 4).to_string());
        let tools = tools.drain(from..).take(4).collect();
        let mut listed = ListToolsResult::with_all_items(tools);
        listed.next_cursor = next;
        Ok(listed)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.clone();
        let arguments = Value::Object(request.arguments.clone().unwrap_or_default());
        if request.input_responses.is_none() {
            self.note(&format!("run {name}"));
        }
        Ok(match &*name {
            "echo" => text(arguments["text"].as_str().unwrap_or_default()),
            "slow" => {
                let note = Cancelled(self, "slow");
                let token = context.meta.get_progress_token().unwrap();
                for done in 1..=3_u8 {
                    let progress = ProgressNotificationParam::new(token.clone(), done.into())
                        .with_total(3.0)
                        .with_message(if self.is_set("loud") {
                            "x".repeat(300_000)
                        } else {
                            format!("step {done}")
                        });
                    if context.peer.notify_progress(progress).await.is_err() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                context.ct.cancelled().await;
                drop(note);
                text("never")
            }
            "pay" | "book" => match self.ask(&request, &context).await {
                Err(other) => other,
                Ok(ElicitResult {
                    action: ElicitationAction::Accept,
                    content,
                    ..
                }) => {
                    let account = content.unwrap()["account"].as_str().unwrap().to_owned();
                    self.note(&format!("{name} with {account}"));
                    text(format!("done with {account}"))
                }
                Ok(answer) => text(format!("no account: {:?}", answer.action)),
            },
            "picture" => {
                let is = |name: &str| arguments[name] == true;
                let file = ResourceContents::blob("aGVs\nbG8=", "file:///hello.bin");
                let picture = if is("broken") { "no base64!" } else { PIXEL };
                let blocks = vec![
                    ContentBlock::text("Here it is."),
                    ContentBlock::image(picture, "image/png"),
                    ContentBlock::text("And a file:"),
                    ContentBlock::resource(file),
                    ContentBlock::audio(TONE, "audio/wav"),
                ];
                let mut result = CallToolResult::success(blocks);
                result.is_error = Some(is("fails"));
                result.into()
            }
            "weather" => {
                let right = json!({"celsius": 3.5});
                let wrong = json!({"celsius": "cold"});
                let is_wrong = arguments["wrong"] == true;
                let mut result = CallToolResult::success(vec![ContentBlock::text("A cold day.")]);
                result.structured_content = Some(if is_wrong { wrong } else { right });
                result.into()
            }
            "fail" => CallToolResult::error(vec![ContentBlock::text("the disk is full")]).into(),
            "pid" => text(std::process::id().to_string()),
            "look" | "act" => {
                if self.is_set("hang") {
                    self.hang(&name, &context).await;
                }
                text(format!("{name} done"))
            }
            "huge" => {
                let bytes = arguments["bytes"].as_u64().unwrap();
                text("x".repeat(bytes.try_into().unwrap()))
            }
            "grow" => {
                self.set(GROWN);
                if self.former {
                    for _ in 0..self.changes() {
                        context.peer.notify_tool_list_changed().await.unwrap();
                    }
                    self.note("told");
                }
                text("grown")
            }
            _ => return Err(ErrorData::invalid_params("there is no such tool", None)),
        })
    }
}
