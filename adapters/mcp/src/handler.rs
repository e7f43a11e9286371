use std::sync::{Arc, Weak};

use rmcp::{
    ClientHandler, ErrorData, RoleClient,
    model::{
        ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult, ElicitationAction,
        ElicitationCapability, FormElicitationCapability, Implementation,
        ProgressNotificationParam,
    },
    service::{InboundStreamOrigin, NotificationContext, RequestContext},
};
use unbroken::tools::{Call, Question, Unanswered};

use crate::{
    pool::Pool,
    progress::{PAUSE, Step},
    questions::Questions,
    renewal::ListRenewal,
    running_requests::RunningRequests,
};

/// The maximum length of a question's text in bytes of UTF-8.
const MESSAGE_BYTES: usize = 8 * 1024;
/// The maximum length of a question's schema in bytes.
const SCHEMA_BYTES: usize = 32 * 1024;

/// What this side of a connection does at the server's requests.
pub(crate) struct Handler {
    requests: Arc<RunningRequests>,
    pool: Weak<Pool>,
    pub(crate) renewal: Arc<ListRenewal>,
}

impl Handler {
    pub(crate) fn new(requests: Arc<RunningRequests>, pool: &Arc<Pool>) -> Self {
        Self {
            requests,
            pool: Arc::downgrade(pool),
            renewal: Arc::default(),
        }
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        let forms = ElicitationCapability::new().with_form(FormElicitationCapability::default());
        let mut capabilities = ClientCapabilities::default();
        capabilities.elicitation = Some(forms);
        let this = Implementation::new("unbroken", env!("CARGO_PKG_VERSION"));
        ClientConfig::new(capabilities, this)
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let origin = context.extensions.get::<InboundStreamOrigin>();
        let stream_of = match origin {
            Some(InboundStreamOrigin::OutboundRequest(id)) => Some(id),
            Some(InboundStreamOrigin::Unassociated) | None => None,
        };
        let Some(running) = self.requests.that_asks(stream_of).await else {
            let reason = "nothing tells which of the calls asks, so nobody was asked";
            return Err(ErrorData::invalid_params(reason, None));
        };
        tokio::select! {
            answer = elicit(request, &running.call, &running.questions) => {
                answer.map_err(|reason| ErrorData::invalid_params(reason, None))
            }
            () = context.ct.cancelled() => Ok(ElicitResult::new(ElicitationAction::Cancel)),
        }
    }

    async fn on_progress(
        &self,
        params: ProgressNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        let Some(running) = self.requests.of_token(&params.progress_token).await else {
            return;
        };
        let step = Step {
            message: params.message,
            done: params.progress,
            total: params.total,
        };
        if running.put(step) {
            while running.pass_on() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn on_tool_list_changed(&self, context: NotificationContext<RoleClient>) {
        self.renewal.run(&self.pool, &context.peer).await;
    }
}

/// Asks the user what the server wants to know for a call.
///
/// # Errors
///
/// If nobody can be asked that.
pub(crate) async fn elicit(
    request: ElicitRequestParams,
    call: &Call,
    questions: &Questions,
) -> Result<ElicitResult, &'static str> {
    let ElicitRequestParams::FormElicitationParams {
        message,
        requested_schema,
        ..
    } = request
    else {
        return Err("only questions with a form are offered to servers");
    };
    let schema = serde_json::to_value(&requested_schema)
        .map_err(|_| "the requested schema can't be written")?;
    if message.len() > MESSAGE_BYTES {
        return Err("a question has more than 8 KiB, so nobody was asked");
    }
    if schema.to_string().len() > SCHEMA_BYTES {
        return Err("the form of a question has more than 32 KiB, so nobody was asked");
    }
    let question = Question::new(message).schema(schema);
    let answer = questions.ask(call, question).await;
    Ok(
        match answer.ok_or("the call asked too often, so nobody was asked")? {
            Ok(answer) => ElicitResult::new(ElicitationAction::Accept).with_content(answer),
            Err(Unanswered::Declined) => ElicitResult::new(ElicitationAction::Decline),
            Err(_) => ElicitResult::new(ElicitationAction::Cancel),
        },
    )
}
