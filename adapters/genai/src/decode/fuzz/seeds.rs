//! Frames of whole answers.

pub(super) const CLAUDE: [&[&str]; 2] = [
    &[
        r#"{"type":"message_start","message":{"model":"claude","usage":{"input_tokens":3,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm."}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"s1"}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t1","name":"now","input":{}}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\":1}"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":9}}"#,
        r#"{"type":"message_stop"}"#,
    ],
    &[
        r#"{"type":"message_start","message":{"model":"claude"}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello."}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":{"url":"https://a","title":"A"}}}"#,
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"content_block_start","index":1,"content_block":{"type":"server_tool_use","id":"s1","name":"web_search","input":{}}}"#,
        r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"q\":1}"}}"#,
        r#"{"type":"content_block_stop","index":1}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":9}}"#,
        r#"{"type":"message_stop"}"#,
    ],
];

pub(super) const GEMINI: [&[&str]; 2] = [
    &[
        r#"{"candidates":[{"content":{"parts":[{"text":"Hm.","thought":true}]}}],"modelVersion":"gemini"}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"Hel","thoughtSignature":"s1"}]}}]}"#,
        r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"now","args":{"a":1}},"thoughtSignature":"s2"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4}}"#,
    ],
    &[
        r#"{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"UE5H"}}]}}]}"#,
        r#"{"usageMetadata":{"promptTokenCount":3}}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"Done."}]},"finishReason":"MAX_TOKENS"}]}"#,
    ],
];

pub(super) const CHAT: [&[&str]; 3] = [
    &[
        r#"{"model":"gpt","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
        r#"{"error":null,"choices":[{"index":0,"delta":{"content":"Hello.","reasoning":"Hm."}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"now","arguments":"{\"a\":"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"1}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}"#,
        "[DONE]",
    ],
    &[
        r#"{"choices":[{"index":0,"message":{"content":"Hello.","refusal":"No."},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ],
    &[
        r#"{"model":"gpt","choices":[{"index":0,"delta":{"reasoning_details":[{"type":"reasoning.text","text":"Hm.","index":0}]}}]}"#,
        r#"{"citations":["https://a"],"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"Look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,UE5H"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"audio":{"id":"a","transcript":"Hi","data":"ZkxhQwAB"},"annotations":[{"type":"url_citation","url_citation":{"url":"https://b","start_index":0,"end_index":2}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"audio":{"expires_at":1}}}],"x_groq":{"usage":{"prompt_tokens":"3"}}}"#,
        r#"{"choices":[{"index":0,"delta":{"function_call":{"name":"now","arguments":"{}"}},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ],
];

pub(super) const RESPONSES: [&[&str]; 2] = [
    &[
        r#"{"type":"response.created","sequence_number":0,"response":{"id":"r","model":"gpt","status":"in_progress"}}"#,
        r#"{"type":"response.output_item.added","output_index":0,"item":{"id":"rs","type":"reasoning","summary":[]}}"#,
        r#"{"type":"response.reasoning_summary_text.delta","output_index":0,"item_id":"rs","summary_index":0,"delta":"Hm."}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"id":"rs","type":"reasoning","summary":[{"type":"summary_text","text":"Hm."}],"encrypted_content":"e"}}"#,
        r#"{"type":"response.output_item.added","output_index":1,"item":{"id":"fc","type":"function_call","call_id":"c1","name":"now","arguments":""}}"#,
        r#"{"type":"response.function_call_arguments.delta","output_index":1,"item_id":"fc","delta":"{\"a\":1}"}"#,
        r#"{"type":"response.output_item.done","output_index":1,"item":{"id":"fc","type":"function_call","call_id":"c1","name":"now","arguments":"{\"a\":1}","status":"completed"}}"#,
        r#"{"type":"response.completed","response":{"status":"completed","output":[{"id":"fc","type":"function_call","call_id":"c1","name":"now","arguments":"{\"a\":1}"}],"usage":{"input_tokens":3,"output_tokens":4}}}"#,
    ],
    &[
        r#"{"type":"response.output_text.delta","output_index":0,"item_id":"m","content_index":0,"delta":"Hel"}"#,
        r#"{"type":"response.output_text.done","output_index":0,"item_id":"m","content_index":0,"text":"Hello."}"#,
        r#"{"type":"response.output_text.annotation.added","output_index":0,"content_index":0,"annotation":{"type":"url_citation","url":"https://a","start_index":0,"end_index":2}}"#,
        r#"{"type":"response.incomplete","response":{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[{"id":"m","type":"message","content":[{"type":"output_text","text":"Hello."}]},{"id":"ig","type":"image_generation_call","result":"UE5H","output_format":"png"}]}}"#,
    ],
];
