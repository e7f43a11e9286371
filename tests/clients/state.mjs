/** The state that `AbstractChat` of the AI SDK needs, without a framework. */
export class State {
  status = 'ready';
  error = undefined;
  messages = [];
  constructor(messages) {
    this.messages = messages;
  }
  pushMessage = (message) => (this.messages = [...this.messages, message]);
  popMessage = () => (this.messages = this.messages.slice(0, -1));
  replaceMessage = (at, message) => (this.messages = this.messages.with(at, structuredClone(message)));
  snapshot = (thing) => structuredClone(thing);
}
