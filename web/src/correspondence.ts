/** What an explanation says about words and regions, as the offline page of `savor explain` reads it too. */

import type { Explanation, Line, Word } from "./api";

/** Regions with a colour of their own. */
export const COLOURS = 8;
const QUANTILE = 0.85;

export interface Reading {
  /** For each word the cell it points to; -1 where all its weights are equal. */
  best: number[];
  /** For each word the cells that light up with it. */
  regions: Set<number>[];
  /** For each word from 0 to 1 how deep its colour is. */
  strength: number[];
  /** The cells that words of positive weight point to, the most pointed to first. */
  pointed: number[];
}

export function reading(found: Explanation): Reading {
  const best = found.words.map(({ weights }) => {
    const largest = Math.max(...weights);
    return largest > Math.min(...weights) ? weights.indexOf(largest) : -1;
  });
  const sums = new Map<number, number>();
  found.words.forEach(({ text_weight: weight }, k) => {
    const cell = best[k]!;
    if (cell >= 0 && weight > 0) sums.set(cell, (sums.get(cell) ?? 0) + weight);
  });
  const heaviest = Math.max(1e-12, ...found.words.map((word) => word.text_weight));
  return {
    best,
    regions: found.words.map(({ weights }) => regionOf(weights)),
    // The root keeps the many light words visible beside the few heavy ones.
    strength: found.words.map((word) => Math.sqrt(Math.max(0, word.text_weight) / heaviest)),
    pointed: [...sums].sort(([a, x], [b, y]) => y - x || a - b).map(([cell]) => cell),
  };
}

function regionOf(weights: number[]): Set<number> {
  const limit = quantile(weights, QUANTILE);
  const least = Math.min(...weights);
  return new Set(weights.flatMap((weight, cell) => (weight >= limit && weight > least ? [cell] : [])));
}

/** The quantile between the two nearest values, as NumPy takes it. */
export function quantile(values: number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)] ?? 0;
  return below + (at - Math.floor(at)) * ((sorted[Math.ceil(at)] ?? below) - below);
}

/** How much each cell weighs for a word, from 0 to 1. */
export function heat(weights: number[]): number[] {
  const least = Math.min(...weights);
  const range = Math.max(...weights) - least;
  return weights.map((weight) => (range > 0 ? (weight - least) / range : 0));
}

/** Cuts a line into plain text and words (by their number in `words`); offsets count characters. */
export function pieces(line: string, words: Word[], numbers: number[]): (string | number)[] {
  const letters = [...line];
  const cut: (string | number)[] = [];
  let end = 0;
  for (const number of [...numbers].sort((a, b) => words[a]!.start - words[b]!.start)) {
    const word = words[number]!;
    if (word.start > end) cut.push(letters.slice(end, word.start).join(""));
    cut.push(number);
    end = word.end;
  }
  if (end < letters.length) cut.push(letters.slice(end).join(""));
  return cut;
}

/** Numbers the lines as the explanation does: section titles and blank lines do not count. */
export function numbered(lines: Line[]): { text: string; line: number | null }[] {
  let next = 0;
  return lines.flatMap((line): { text: string; line: number | null }[] => {
    if (typeof line !== "string") return [{ text: line.section, line: null }];
    return line.trim() ? [{ text: line, line: next++ }] : [];
  });
}
