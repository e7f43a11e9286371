//! The cases, by what they are about, and the one list of them all.

pub(super) mod access;
pub(super) mod encode;
pub(super) mod end;
pub(super) mod http2;
pub(super) mod inputs;
pub(super) mod live;
pub(super) mod manage;
pub(super) mod page;
pub(super) mod refuse;
pub(super) mod resume;
pub(super) mod start;

/// Hands the list of all cases to a macro.
macro_rules! all {
    ($then:ident) => {
        $then! {
            start::an_answer_is_a_stream_of_events_from_lsn_1 Together
            "POST /: 200 and the stream; LSNs 1, 2, 3, …; session_info first, one terminal event last"
            start::what_was_said_before_reaches_the_provider Together
            "messages have roles: assistant (may carry tool_calls), tool (carries tool_call_id)"
            start::session_info_says_what_a_session_can_do Together
            "session_info: capabilities{thinking, streaming, tools[]} and persona, always LSN 1"
            start::the_head_and_session_info_come_while_the_provider_is_silent Together
            "the response starts at once: status, headers and session_info wait for no provider"
            start::the_head_says_which_session_it_is_and_how_it_stands Together
            "response headers: X-Session-Id, X-Session-Status at the time of the head, X-Session-Tail"
            start::the_head_forbids_what_would_hold_the_stream_back Together
            "response headers: no-store, no-transform; Vary: Accept; nosniff; no compression on the way"
            start::the_head_tells_proxies_not_to_buffer Together
            "response headers: X-Accel-Buffering: no"
            start::the_head_says_where_the_session_is_found Together
            "response headers: Content-Location {mount}/{id}, Location on 201"
            start::ids_that_the_server_makes_can_not_be_guessed Together
            "ids that the server makes carry 128 bits of randomness"
            start::a_client_may_make_the_id Together
            "X-Session-Id: 22 to 128 of A-Z a-z 0-9 . _ ~ -, the first one alphanumeric"
            start::an_id_that_could_be_guessed_or_is_none_is_refused Together
            "400 for a malformed id"
            start::the_same_request_under_the_same_id_attaches Together
            "POST / with X-Session-Id: attaches from the beginning if it exists with the same request"
            start::of_racing_starts_one_calls_the_provider Together
            "starting is idempotent: at most one call of the provider, races included"
            start::another_request_under_the_same_id_is_a_conflict Together
            "409 id-in-use if the id exists with another request"
            start::the_same_words_in_other_bytes_are_another_request Together
            "the same request is the same raw body, owner and dialect"
            start::a_post_with_a_cursor_reconnects_and_starts_nothing Together
            "POST / with X-Session-Id and X-Last-LSN: reconnects; 200, 204, 404"
            start::query_twins_stand_in_for_headers_and_headers_win Together
            "?sessionId= and ?lastLsn= stand in for headers; headers win"
            start::a_client_that_wants_json_gets_201_and_reads_elsewhere Together
            "POST / as JSON: 201 with id, status and tail, and no stream"
            start::sessions_at_the_same_time_stay_apart Together
            "a session is one answer: nothing of another's is in it"
            live::events_arrive_within_50_ms Together
            "an event is there within 50 ms of its production, for every reader"
            live::each_event_arrives_before_the_next_is_said Together
            "nothing on the way gathers events"
            live::a_disconnect_stops_nothing Together
            "a disconnect is not a stop: dropping the last body leaves the writer running"
            live::all_readers_of_a_session_get_the_same Together
            "any number of readers, each at its own pace"
            live::a_slow_reader_harms_nobody Together
            "a slow reader slows neither the writer nor other readers"
            live::a_long_answer_is_the_same_again_in_a_replay Together
            "order: no gap, no duplicate, no reordering, live and replayed"
            live::an_answer_cut_after_any_event_is_resumed Together
            "order over any schedule of disconnects and resumes"
            live::silence_is_broken_by_heartbeats_that_are_no_events Together
            "heartbeats come in silence: an empty line, a comment"
            resume::a_reader_gets_what_follows_its_cursor Together
            "GET /{id}: reads after the cursor"
            resume::of_several_cursors_the_event_source_wins_then_the_header Together
            "the cursor: Last-Event-ID, else X-Last-LSN, else ?after="
            resume::an_event_source_resumes_by_the_id_it_was_given Together
            "SSE: clients hand the id back whole; 204 at the end makes an EventSource stop"
            resume::at_the_terminal_event_every_stream_is_204 Together
            "GET, HEAD: 204 if the cursor is the terminal event, in every streaming encoding"
            resume::head_is_get_without_the_body Together
            "HEAD /{id}: as GET, without a body"
            resume::a_bare_cursor_past_the_tail_is_refused Together
            "400 for a bare cursor past the tail"
            resume::what_is_no_cursor_is_refused Together
            "400 for a malformed cursor"
            resume::a_cursor_of_another_epoch_is_a_rewound_log Together
            "409 log-rewound for a tagged cursor whose record is absent or of another epoch"
            page::a_page_has_what_the_stream_has Together
            "GET /{id} as JSON: events, next, tail, status"
            page::what_is_no_number_is_refused Together
            "400 for a ?limit= or ?wait= that is no number"
            page::no_document_is_kept_on_the_way Together
            "response headers of documents and refusals: no-store, nosniff"
            page::pages_follow_one_another_to_the_end Together
            "?limit= bounds a page, next is where the following begins"
            page::a_page_waits_for_the_first_new_event Together
            "?wait= waits for the first new event"
            page::a_page_of_an_ended_session_waits_for_nothing Together
            "?wait= waits not at all once the session is sealed"
            page::a_wait_that_is_over_comes_back_empty Together
            "?wait= waits as long as it says"
            end::a_complete_answer_says_how_it_ended Together
            "complete: finishReason, and the text where it fits"
            end::a_provider_that_fails_is_the_terminal_event Together
            "one ending: a provider's error is an error event with code provider"
            end::a_provider_that_fails_at_once_is_200_and_a_terminal_event Together
            "a provider that fails before its first event: 200 and a terminal error"
            end::a_provider_that_breaks_off_is_no_success Together
            "one ending: a stream that was cut is an error, not a complete answer"
            end::a_provider_that_panics_is_a_terminal_event Together
            "one ending: also when the provider panics"
            end::an_event_over_the_limit_ends_the_session Together
            "bounded: the size of an event, on both sides of the limit"
            end::a_session_over_its_limit_has_room_for_the_ending Together
            "bounded: the events of a session, with room kept for the terminal one"
            end::a_session_has_as_many_bytes_as_it_may Together
            "bounded: the bytes of a session, on both sides of the limit"
            end::a_provider_that_hangs_is_a_timeout Together
            "one ending: also when the provider hangs; bounded: how long it may be silent"
            end::a_session_that_runs_too_long_is_a_timeout Together
            "bounded: how long a session may run"
            encode::accept_decides_what_comes Together
            "Accept: the highest q; ties NDJSON, SSE, JSON; JSON only where no stream is named"
            encode::text_of_any_kind_comes_back_as_it_was Together
            "encodings: nothing in a text breaks a line or an event"
            encode::every_encoding_has_the_same_events Together
            "one log, many encodings"
            encode::tool_calls_are_events_and_a_reason_to_finish Together
            "tool_calls: calls[{id, name, arguments}]; finishReason tool_calls"
            encode::ids_of_server_sent_events_are_lsn_and_tag Together
            "SSE: retry first; id is the LSN and a short tag; no event line"
            inputs::a_question_is_answered_and_the_answer_goes_on Together
            "POST /{id}/inputs/{inputId}: 202 once stored; input_request, waiting, input_resolved"
            inputs::who_declines_or_cancels_is_heard Together
            "an answer's action: accept, decline, cancel"
            inputs::a_question_is_answered_once Together
            "409 input-answered for a second answer; the same one again is the same success"
            inputs::an_answer_that_does_not_fit_is_422_and_nothing_comes_of_it Together
            "422 for an answer that doesn't fit the question's schema, with where; 400, 415"
            inputs::what_was_never_asked_is_404 Together
            "404 for what was never asked, and for a session that isn't there; 405 with Allow"
            inputs::who_comes_too_late_is_told_so Together
            "409 input-answered for what timed out, and once the session has ended; 410"
            inputs::abort_stops_a_session_that_waits Together
            "abort stops a session that waits for a person"
            inputs::a_stranger_answers_nothing Together
            "absent and forbidden look the same, for answers too"
            manage::abort_stops_the_session_for_everyone Together
            "POST /{id}/abort: 202 once stored, 200 if already sealed; readers get `aborted`"
            manage::abort_stops_a_provider_that_hangs Together
            "abort drops the provider's stream"
            manage::abort_changes_nothing_of_what_has_ended Together
            "abort is safe to repeat, and 200 on what is sealed"
            manage::what_is_deleted_is_stopped_and_gone Together
            "DELETE /{id}: aborts if running, then forgets; 410 from then on, also for a late retry"
            manage::what_has_ended_can_be_deleted Together
            "DELETE /{id}: 204"
            manage::what_is_not_there_is_not_found Together
            "404 for what isn't there"
            manage::options_say_what_may_be_asked Together
            "OPTIONS: 204 with Allow"
            manage::a_method_that_is_not_there_is_405_with_allow Together
            "405 with Allow"
            manage::without_owners_nothing_is_listed Together
            "GET /: 403 where the policy has no owners"
            manage::a_list_has_the_callers_own_newest_first Together
            "GET /: the caller's sessions, newest first, ?chat=, ?status=, paged"
            refuse::what_is_not_json_is_400 Together
            "400 for what is not JSON"
            refuse::json_of_the_wrong_shape_is_422 Together
            "422 for JSON of the wrong shape"
            refuse::what_is_not_open_to_clients_is_422 Together
            "422 for a field that is not open to clients"
            refuse::unknown_fields_are_dropped Together
            "unknown fields are dropped"
            refuse::a_body_of_another_type_is_415 Together
            "415 for a body that doesn't say it is JSON"
            refuse::a_body_may_have_as_many_bytes_as_it_may Together
            "413 over the limit of a body, on both sides of it"
            refuse::a_body_that_is_too_slow_is_408 Together
            "408 for a body that is too slow"
            refuse::what_nobody_can_answer_is_406 Together
            "406 with the types there are"
            refuse::a_refusal_starts_nothing Together
            "what can be refused is refused before the session exists"
            access::what_is_anothers_looks_like_what_is_not_there Together
            "absent and forbidden look the same"
            access::a_strangers_id_can_not_be_taken Together
            "409 id-in-use for an id of another owner's"
            http2::one_stuck_stream_holds_up_no_other_of_its_connection Together
            "HTTP/2: a reader that doesn't read holds up no other of its connection"
            http2::a_cancelled_stream_leaves_its_connection_alone Together
            "HTTP/2: a reader that leaves takes nobody with it"
            refuse::one_session_too_many_is_429 Alone
            "429 over the limit of running sessions, or of one owner's, with Retry-After; attaching is not starting"
            end::a_body_that_can_not_go_on_fails Last
            "a body that ends without the terminal event fails: a cut is not an end"
            end::a_server_that_gives_up_starts_nothing Last
            "503 shutting-down with Retry-After"
        }
    };
}

pub(super) use all;
