// Tools that run in this page. A request declares them. If the model calls one, the answer ends with a
// handoff, and another request continues with the result of the tool.

const TOOLS = {
  local_time: {
    description: 'The date and the time of day where the user is.',
    parameters: { type: 'object', properties: {} },
    run: () => ({ time: new Date().toString(), zone: Intl.DateTimeFormat().resolvedOptions().timeZone }),
  },
};

/** Their definitions for the model. */
export const isomorphicTools = Object.entries(TOOLS).map(([name, { description, parameters }]) => ({ name, description, parameters, authority: 'client' }));

/** The part of a request that continues after a handoff: its session, the conversation and the tools' results. */
export async function followUp({ session, state, handoffs }, messages) {
  const outputs = handoffs.map(async ({ callId, toolName, params, serverOutput }) => ({
    callId,
    toolName,
    clientOutput: await run(toolName, params, serverOutput),
  }));
  return {
    continues: session, // its log has the turn: calls, parameters and results of the server
    messages: state.messages ? [] : messages, // the log leaves them out where the chat is too long for one event
    isomorphicClientOutputs: await Promise.all(outputs),
  };
}

/** The id of the session after another one: equal in all tabs, so that only one of them starts it. */
export function sessionAfter(session) {
  const [, first, nth = 1] = /^(.*?)(?:\.(\d+))?$/.exec(session);
  return `${first}.${Number(nth) + 1}`;
}

async function run(name, params, serverOutput) {
  try {
    if (!Object.hasOwn(TOOLS, name)) throw new Error('this page has no such tool');
    return await TOOLS[name].run(params, serverOutput);
  } catch (error) {
    return { error: error.message }; // the model is told
  }
}
