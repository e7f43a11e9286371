// Questions for a first look.

// A script replaces the default answer of the scripted provider.
const SCRIPTED = [
  { text: 'Tell me what you are' },
  { text: 'How is the weather in Oslo?' },
  { text: 'Send Ada a mail' },
  { text: 'Book a table' },
  { text: 'What is my local time?' },
  { text: 'Count to a thousand', script: { tokens: 1000, delayMs: 60 } },
  { text: 'Fail half-way', script: { tokens: 120, delayMs: 40, fault: { at: 60, kind: 'error' } } },
];

const REAL = ['How does TCP recover a lost segment?', 'How is the weather in Oslo, and what time is it here?', 'Mail ada@example.org that I am late', 'Book a table at The Log Cabin'].map((text) => ({ text }));

export const examples = (scripted) => (scripted ? SCRIPTED : REAL);
