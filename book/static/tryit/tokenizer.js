// BERT's uncased WordPiece tokeniser, in the order in which the Python library takes its steps.
//
// That library knows the characters of Unicode 8. A later mark or sign, which is in no vocabulary
// anyway, may be split off here and not there.

const LINE = /[\t\n\r]/u;
const DROPPED = /[\0\uFFFD\p{Cc}\p{Cf}\p{Co}]/u;
const SPACE = /\p{White_Space}/u;
const ACCENT = /\p{Mn}/gu;
const PUNCTUATION = /[!-/:-@[-`{-~\p{P}]/u;
// The library's ranges of Chinese characters, each of which is a word.
const CHINESE =
  /[\u4E00-\u9FFF\u3400-\u4DBF\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\uF900-\uFAFF\u{2F800}-\u{2FA1F}]/u;
const LONGEST_WORD = 100; // characters; a longer one is unknown

/** Words and punctuation marks of a text: cleaned, without accents, in lower case. */
export function split(text) {
  let clean = "";
  for (const character of text) {
    if (LINE.test(character)) clean += " ";
    else if (DROPPED.test(character)) continue;
    else if (SPACE.test(character)) clean += " ";
    else clean += CHINESE.test(character) ? ` ${character} ` : character;
  }
  // One by one: at the end of a word a capital sigma would become another small letter.
  const lower = Array.from(clean.normalize("NFD").replace(ACCENT, ""), (c) => c.toLowerCase());
  const words = [""];
  for (const character of lower.join("")) {
    if (SPACE.test(character)) words.push("");
    else if (PUNCTUATION.test(character)) words.push(character, "");
    else words[words.length - 1] += character;
  }
  return words.filter((word) => word !== "");
}

export class Tokenizer {
  /**
   * @param {string[]} vocabulary Tokens by number.
   * @param {object} settings `start`, `end` and `unknown` (tokens), `special` (tokens that are
   *   found in a text as they stand), `prefix` (of a token inside a word) and `longest` (tokens
   *   that a text is cut at, start and end included).
   */
  constructor(vocabulary, settings) {
    this.numbers = new Map(vocabulary.map((token, number) => [token, number]));
    this.settings = settings;
    const quoted = settings.special.map((token) => token.replace(/[[\]]/g, "\\$&"));
    this.special = new RegExp(`(${quoted.join("|")})`, "u");
  }

  /** Numbers of a text's tokens, from start to end. */
  encode(text) {
    const { start, end, special, longest } = this.settings;
    const tokens = text
      .split(this.special)
      .flatMap((part) =>
        special.includes(part) ? [part] : split(part).flatMap((word) => this.pieces(word)),
      );
    return [start, ...tokens.slice(0, longest - 2), end].map((token) => this.numbers.get(token));
  }

  /** The longest pieces that a word can be read as, from the left; or unknown, all of it. */
  pieces(word) {
    const { prefix, unknown } = this.settings;
    const characters = Array.from(word);
    if (characters.length > LONGEST_WORD) return [unknown];
    const pieces = [];
    for (let from = 0; from < characters.length; ) {
      let to = characters.length;
      const piece = () => (from > 0 ? prefix : "") + characters.slice(from, to).join("");
      while (to > from && !this.numbers.has(piece())) to--;
      if (to === from) return [unknown];
      pieces.push(piece());
      from = to;
    }
    return pieces;
  }
}
