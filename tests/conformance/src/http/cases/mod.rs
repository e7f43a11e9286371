//! The cases by subject, and the list of all.

pub(super) mod access;
pub(super) mod claims;
pub(super) mod encode;
pub(super) mod end;
pub(super) mod http2;
pub(super) mod inputs;
pub(super) mod live;
pub(super) mod manage;
pub(super) mod names;
pub(super) mod page;
pub(super) mod refuse;
pub(super) mod resume;
pub(super) mod start;

/// Calls a macro with the list of all cases: name, order and rule.
macro_rules! all {
    ($then:ident) => {
        $then! {
            start::an_answer_is_a_stream_of_events_from_lsn_1 Together
            "POST / answers 200 with a stream of LSNs 1, 2, 3, …: session_info first, exactly one terminal event last"
            start::earlier_messages_reach_the_provider Together
            "messages of the roles assistant (with tool_calls) and tool (with tool_call_id) reach the provider"
            start::session_info_lists_the_capabilities Together
            "session_info is LSN 1 and has capabilities{thinking, streaming, tools[]} and persona"
            start::the_head_and_session_info_come_while_the_provider_is_silent Together
            "status, headers and session_info are sent before the provider has produced anything"
            start::the_head_has_the_session_id_status_and_tail Together
            "responses have X-Session-Id, and X-Session-Status and X-Session-Tail as of the head"
            start::the_head_forbids_caching_and_transforming Together
            "streams have no-store, no-transform, Vary: Accept and nosniff, and are not compressed"
            start::the_head_tells_proxies_not_to_buffer Together
            "streams have X-Accel-Buffering: no"
            start::the_head_has_the_location_of_the_session Together
            "responses have Content-Location {mount}/{id}, and 201 has Location"
            start::ids_that_the_server_makes_are_random Together
            "ids that the server makes carry 128 bits of randomness"
            start::a_client_may_choose_the_id Together
            "X-Session-Id may have 22 to 128 of A-Z a-z 0-9 . _ ~ -, beginning with a letter or digit"
            start::a_short_or_malformed_id_is_refused Together
            "a malformed id, or one of fewer than 22 characters, is 400"
            start::the_same_request_under_the_same_id_attaches Together
            "POST / with the id and request of a session attaches to it, from the beginning"
            start::of_racing_starts_one_calls_the_provider Together
            "concurrent starts of one id call the provider at most once"
            start::another_request_under_the_same_id_is_a_conflict Together
            "POST / with the id of a session and another request is 409 id-in-use"
            start::the_same_json_in_other_bytes_is_another_request Together
            "two requests are the same if raw body, owner and dialect are"
            start::a_post_with_a_cursor_reconnects_and_starts_nothing Together
            "POST / with X-Session-Id and X-Last-LSN reconnects with 200, 204 or 404, and starts nothing"
            start::query_parameters_stand_in_for_headers_and_headers_win Together
            "?sessionId= and ?lastLsn= stand in for their headers; a header takes precedence"
            start::a_start_as_json_is_201_without_a_stream Together
            "POST / as JSON answers 201 with id, status and tail, without a stream"
            start::concurrent_sessions_do_not_mix Together
            "a session has the events of its own answer only"
            live::events_arrive_within_50_ms Together
            "an event reaches every reader within 50 ms of its production"
            live::each_event_arrives_before_the_next_is_produced Together
            "nothing between provider and client collects events"
            live::a_disconnect_stops_nothing Together
            "a dropped response body, even the last one, leaves the writer running"
            live::all_readers_of_a_session_get_the_same Together
            "every reader of a session gets the same events, each at its own pace"
            live::a_slow_reader_slows_no_other_reader Together
            "a slow reader slows neither the writer nor other readers"
            live::a_long_answer_is_the_same_again_in_a_replay Together
            "a replay has the same events as the live stream, without gap, duplicate or reordering"
            live::an_answer_cut_after_any_event_is_resumed Together
            "resumes after any disconnects give every event once, in order"
            live::heartbeats_come_in_silence_and_are_no_events Together
            "heartbeats come in silence: an empty line of NDJSON, a comment of server-sent events"
            resume::a_reader_gets_what_follows_its_cursor Together
            "GET /{id} answers with the events after the cursor"
            resume::of_several_cursors_the_event_source_wins_then_the_header Together
            "the cursor is Last-Event-ID, else X-Last-LSN, else ?after="
            resume::an_event_source_resumes_by_the_id_it_was_given Together
            "an EventSource resumes by the id of an event, and gets 204 at the end"
            resume::at_the_terminal_event_every_stream_is_204 Together
            "GET and HEAD are 204 if the cursor is the terminal event, in every streaming encoding"
            resume::head_is_get_without_the_body Together
            "HEAD /{id} has the headers of GET and no body"
            resume::a_bare_cursor_past_the_tail_is_refused Together
            "a bare cursor past the tail is 400"
            resume::a_malformed_cursor_is_refused Together
            "a malformed cursor is 400"
            resume::a_cursor_of_another_epoch_is_a_rewound_log Together
            "a tagged cursor whose record is absent or of another epoch is 409 log-rewound"
            page::a_page_has_the_events_of_the_stream Together
            "GET /{id} as JSON has events, next, tail and status"
            page::a_malformed_limit_or_wait_is_refused Together
            "a ?limit= or ?wait= that is no number is 400"
            page::documents_are_not_cached Together
            "documents and refusals have no-store and nosniff"
            page::pages_together_have_every_event_once Together
            "?limit= bounds a page, and next is the cursor of the following page"
            page::a_page_waits_for_the_first_new_event Together
            "?wait= waits for the first new event"
            page::a_page_of_an_ended_session_does_not_wait Together
            "?wait= does not wait once the session is sealed"
            page::a_page_without_new_events_is_empty_after_its_wait Together
            "?wait= waits for its number of seconds"
            end::a_complete_answer_has_a_finish_reason Together
            "the event complete has finishReason, and the text where it fits"
            end::a_provider_error_is_the_terminal_event Together
            "a provider's error is a terminal error with code provider"
            end::a_provider_error_before_the_first_event_is_200_and_a_terminal_event Together
            "a provider's error before its first event is 200 and a terminal error"
            end::a_provider_stream_that_is_cut_is_an_error Together
            "a provider's stream that ends early is a terminal error, not complete"
            end::a_provider_that_panics_is_a_terminal_event Together
            "a provider's panic is a terminal error with code internal"
            end::text_over_the_limit_of_an_event_is_several_events Together
            "an event over the limit of its bytes ends the session; one at the limit does not"
            end::a_session_over_its_events_has_room_for_the_terminal_event Together
            "a session over its limit of events ends with a terminal event, which is not counted"
            end::a_session_over_its_bytes_ends_with_limit Together
            "a session over its limit of bytes ends with code limit; one at the limit does not"
            end::a_provider_that_hangs_is_a_timeout Together
            "a provider that is silent for too long ends the session with code timeout"
            end::a_session_that_runs_too_long_is_a_timeout Together
            "a session that runs for too long ends with code timeout"
            encode::accept_selects_the_encoding Together
            "Accept selects by the highest q; ties prefer NDJSON, SSE, JSON; JSON only if no stream is named"
            encode::any_text_comes_back_unchanged Together
            "no text breaks a line or an event of an encoding"
            encode::every_encoding_has_the_same_events Together
            "every encoding has the same events"
            encode::tool_calls_are_events_and_a_finish_reason Together
            "tool_calls has calls[{id, name, arguments}], and finishReason is tool_calls"
            encode::ids_of_server_sent_events_are_lsn_and_tag Together
            "server-sent events begin with retry, have the id LSN.tag, and have no event line"
            inputs::a_question_is_answered_and_the_answer_goes_on Together
            "POST /{id}/inputs/{inputId} is 202 once stored; events are input_request, waiting, input_resolved"
            inputs::a_question_can_be_declined_or_cancelled Together
            "the action of an answer is accept, decline or cancel"
            inputs::a_question_is_answered_once Together
            "a second answer is 409 input-answered; a repetition of the first is 202 again"
            inputs::an_answer_that_does_not_fit_its_schema_is_422 Together
            "an answer outside the question's schema is 422 and names the place; 400 and 415 as elsewhere"
            inputs::an_unknown_question_is_404 Together
            "an unknown question or session is 404; other methods are 405 with Allow"
            inputs::a_late_answer_is_refused Together
            "an answer after a timeout or the end is 409 input-answered; after a deletion it is 410"
            inputs::abort_stops_a_session_that_waits Together
            "abort stops a session that waits for an answer"
            inputs::another_caller_can_not_answer Together
            "for answers too, an absent session and another owner's look the same"
            claims::arguments_of_any_depth_can_be_read_again Together
            "arguments nested deeper than 64 levels are text; every log can be read to its end"
            claims::values_of_a_client_are_nested_64_levels_at_most Together
            "a value of a request that is nested deeper than 64 levels is 422"
            claims::outputs_count_for_calls_that_were_handed_over_once Together
            "isomorphicClientOutputs count for calls that a session handed over: others are 422, a second one is 409 output-given"
            names::a_name_in_a_body_has_128_bytes_at_most Together
            "chatId, continues and names of tools have at most 128 bytes, ids of calls 160; a refused start leaves nothing"
            names::a_chat_id_has_1_to_128_bytes Together
            "a chat id has 1 to 128 bytes, in a body (422) and as ?chat= (400)"
            names::an_id_in_a_path_has_128_bytes_at_most Together
            "the id of a session has at most 128 characters in every path, header and query: 400"
            names::an_input_id_has_128_bytes_at_most Together
            "the id of a question has at most 128 characters: 404 no-such-input"
            names::names_of_an_output_have_128_bytes_at_most Together
            "toolName has at most 128 bytes, and callId 160: 422, and the output can be given afterwards"
            manage::abort_ends_the_session_for_every_reader Together
            "POST /{id}/abort is 202 once stored and 200 if sealed; every reader gets aborted"
            manage::abort_stops_a_provider_that_hangs Together
            "abort drops the provider's stream"
            manage::abort_of_an_ended_session_changes_nothing Together
            "abort can be repeated, and is 200 on a sealed session"
            manage::a_deleted_session_is_stopped_and_gone Together
            "DELETE /{id} aborts a running session; from then on it is 410, for a late retry too"
            manage::an_ended_session_can_be_deleted Together
            "DELETE /{id} is 204"
            manage::an_absent_session_is_404 Together
            "an absent session or route is 404"
            manage::options_lists_the_allowed_methods Together
            "OPTIONS is 204 with Allow"
            manage::an_unsupported_method_is_405_with_allow Together
            "an unsupported method is 405 with Allow"
            manage::a_list_without_owners_is_403 Together
            "GET / is 403 if the access policy has no owners"
            manage::a_list_has_the_callers_sessions_newest_first Together
            "GET / has the caller's sessions, newest first, with ?chat=, ?status= and pages"
            refuse::malformed_json_is_400 Together
            "malformed JSON is 400"
            refuse::json_of_the_wrong_shape_is_422 Together
            "JSON of the wrong shape is 422"
            refuse::a_field_closed_to_clients_is_422 Together
            "a field that is not open to clients is 422"
            refuse::unknown_fields_are_dropped Together
            "unknown fields are dropped"
            refuse::a_body_of_another_type_is_415 Together
            "a body whose type is not JSON is 415"
            refuse::a_body_over_its_limit_is_413 Together
            "a body over the limit of its bytes is 413; one at the limit is not"
            refuse::a_body_that_is_too_slow_is_408 Together
            "a body that arrives too slowly is 408"
            refuse::an_unsupported_accept_is_406 Together
            "an unsupported Accept is 406 and lists the supported types"
            refuse::a_refusal_starts_nothing Together
            "a refused start creates no session and calls no provider"
            access::a_session_of_another_owner_looks_absent Together
            "an absent session and another owner's look the same"
            access::a_chat_id_leads_no_other_caller_to_a_session Together
            "a chat id that a client chose leads to the sessions of its owner only"
            access::an_id_of_another_owner_is_a_conflict Together
            "POST / with the id of another owner's session is 409 id-in-use"
            http2::a_stuck_stream_blocks_no_other_of_its_connection Together
            "HTTP/2: a stream that is not read blocks no other of its connection"
            http2::a_cancelled_stream_ends_no_other_of_its_connection Together
            "HTTP/2: a cancelled stream ends no other of its connection"
            refuse::one_session_too_many_is_429 Alone
            "a start over the limit of running sessions, or of an owner's, is 429 with Retry-After; attaching is not"
            end::a_body_without_its_terminal_event_fails Last
            "a body that ends without the terminal event fails, so that a cut is not an end"
            end::a_server_that_shuts_down_starts_nothing Last
            "a start during shutdown is 503 shutting-down with Retry-After"
        }
    };
}

pub(super) use all;
