// Texts as they are drawn: whatever a sender put in, it stays a line of text that takes the room of its letters.

/** Marks on one letter that are drawn; Vietnamese, Thai and pointed Hebrew need up to four. */
const MARKS_MAX = 4;
/** Invisible characters in a row that are kept: what joins emoji, and a flag's six tags with their end. */
const INVISIBLE_MAX = 7;

const MARKS = new RegExp(`((?:\\p{Mn}|\\p{Me}){${MARKS_MAX}})(?:\\p{Mn}|\\p{Me})+`, 'gu');
/** Embeddings, overrides and isolates turn around what stands beside them; the page isolates each text by itself. */
const DIRECTION = /[\u202a-\u202e\u2066-\u2069]/gu;
const INVISIBLE = new RegExp(`\\p{Cf}{${INVISIBLE_MAX + 1},}`, 'gu');
/** Marks without a letter of their own would be put on what stands before the text. */
const LEADING = /^(?:\p{Mn}|\p{Me})+/u;
const BREAKS = /[\p{Cc}\u2028\u2029]+/gu;

/** `text` without what makes it leave its line: stacks of marks, floods of the invisible, turned direction, breaks. */
export function legible(text: string): string {
  return text
    .replace(BREAKS, ' ')
    .replace(DIRECTION, '')
    .replace(INVISIBLE, '')
    .replace(LEADING, '')
    .replace(MARKS, '$1');
}
