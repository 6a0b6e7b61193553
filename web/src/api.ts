/** What the server is asked and what it answers. Every request goes to where the page came from. */

import { whereInto, type Query, type Where } from "./routes";

export interface Health {
  status: "starting" | "ready" | "failed";
  version: string;
  index: { name: string; recipes: number; photos: number; backend: string; version: string };
  method: string;
  ways: string[];
  token_required: boolean;
  writable: boolean;
  message?: string | null;
}

export interface Hit {
  id: string;
  recipe_id: string;
  rank: number;
  score: number;
  title: string;
  photo?: string | null;
  photo_url?: string | null;
  ingredients: string[];
  category?: string | null;
  minutes?: number | null;
  source?: string | null;
  matched: string[];
  duplicates: string[];
  probability?: number | null;
}

export interface Answer {
  hits: Hit[];
  total: number;
  understood: {
    text: string;
    have: string[];
    avoid: string[];
    category?: string | null;
    source?: string | null;
    minutes?: number | null;
  } | null;
  confidence: { probability: number; level: "high" | "medium" | "low" | "none"; message: string } | null;
  notes: string[];
  query: string;
  took_ms: number;
}

export interface Listed {
  id: string;
  title: string;
  category?: string | null;
  minutes?: number | null;
  photo_url?: string | null;
  ingredients: string[];
}

export interface Facet {
  name: string;
  count: number;
}

export interface Listing {
  total: number;
  recipes: Listed[];
  facets: { categories: Facet[]; sources: Facet[] };
}

export type Line = string | { section: string };

export interface Recipe {
  id: string;
  title: string;
  ingredients: Line[];
  instructions: Line[];
  category?: string | null;
  source?: string | null;
  servings?: string | null;
  times?: Record<string, string> | null;
  tags?: Line[] | null;
  notes?: string | null;
  minutes?: number | null;
  photos: { id: string; url: string }[];
}

export type Part = "title" | "ingredients" | "instructions";

export interface Word {
  word: string;
  kind: "word" | "ingredient";
  part: Part;
  line: number;
  /** Counted in characters, not in the units of a JavaScript string. */
  start: number;
  end: number;
  text_weight: number;
  rank: number;
  weights: number[];
}

export interface Explanation {
  way: string;
  ways: string[];
  score: number;
  grid: [number, number];
  boxes: [number, number, number, number][];
  cell_weights: number[];
  words: Word[];
  recipe: Recipe;
  photo_url?: string | null;
  photo_data_url?: string | null;
  width: number;
  height: number;
}

export interface Report {
  counts: Record<Status, number>;
  recipes: { source: string; id: string | null; status: Status; reason: string | null }[];
}
export type Status = "read" | "updated" | "unchanged" | "skipped";

export interface Job {
  state: "running" | "done" | "failed";
  stage?: string | null;
  done?: number | null;
  total?: number | null;
  report?: Report | null;
  message?: string | null;
}

export interface Point {
  id: string;
  title: string;
  x: number;
  y: number;
  category?: string | null;
  photo_url?: string | null;
}

/** A request that came to nothing; `code` is the server's, or `gone` where none answered. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status = 0,
  ) {
    super(message);
  }
}

/** Waits, unless the view is left meanwhile. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("aborted", "AbortError"));
    });
  });
}

const TOKEN = "savor-token";
type Ask = (message: string) => Promise<string | null>;
let askForToken: Ask = () => Promise.resolve(null);

/** Says how the user is asked for a token when the server wants one. */
export function onTokenNeeded(ask: Ask): void {
  askForToken = ask;
}

/** Pages of `k` hits from `offset` on; `photo` goes along as a file. */
export function search(
  query: Query,
  photo: Blob | null,
  page: { k: number; offset: number },
  signal: AbortSignal,
): Promise<Answer> {
  const said = photo ? new FormData() : new URLSearchParams();
  if (query.text) said.append("text", query.text);
  if (query.recipe) said.append("recipe", query.recipe);
  said.append("find", query.find);
  said.append("k", String(page.k));
  said.append("offset", String(page.offset));
  whereInto(said, query.where);
  if (!(said instanceof FormData)) return json(`/search?${said}`, { signal });
  said.append("photo", photo as Blob, "photo");
  return json("/search", { method: "POST", body: said, signal });
}

export function recipes(
  asked: { text?: string; where?: Where; offset?: number; limit: number; order?: string },
  signal: AbortSignal,
): Promise<Listing> {
  const said = new URLSearchParams({ limit: String(asked.limit), offset: String(asked.offset ?? 0) });
  if (asked.text) said.set("text", asked.text);
  if (asked.order) said.set("order", asked.order);
  if (asked.where) whereInto(said, asked.where);
  return json(`/recipes?${said}`, { signal });
}

export const recipe = (id: string, signal: AbortSignal): Promise<Recipe> =>
  json(`/recipes/${encodeURIComponent(id)}`, { signal });

export const similar = (id: string, k: number, signal: AbortSignal): Promise<{ hits: Hit[] }> =>
  json(`/recipes/${encodeURIComponent(id)}/similar?k=${k}`, { signal });

/** How the server is, once it is ready. */
export async function health(signal: AbortSignal): Promise<Health> {
  for (;;) {
    const now = await json<Health>("/health", { signal });
    if (now.status === "failed") throw new ApiError("failed", now.message ?? "The index cannot be opened.", 500);
    if (now.status === "ready") return now;
    await pause(500, signal);
  }
}

/** Where the recipes lie on the map; `pending` while that is still being worked out. */
export const map = (signal: AbortSignal): Promise<{ kind: string; points: Point[]; total: number }> =>
  json("/map", { signal });

export function explain(
  asked: { recipe: string; way: string; photo: Blob | null; own: string },
  signal: AbortSignal,
): Promise<Explanation> {
  const said = new FormData();
  said.append("recipe", asked.recipe);
  if (asked.way) said.append("way", asked.way);
  if (asked.photo) said.append("photo", asked.photo, "photo");
  else {
    said.append("photo_id", asked.own);
    said.append("photo_recipe", asked.recipe);
  }
  return json("/explain", { method: "POST", body: said, signal });
}

export function feedback(query: string, recipeId: string, verdict: "yes" | "no"): Promise<unknown> {
  const body = JSON.stringify({ query, recipe_id: recipeId, verdict });
  return json("/feedback", { method: "POST", body, headers: { "Content-Type": "application/json" } });
}

export const job = (id: string, signal: AbortSignal): Promise<Job> =>
  json(`/import/${encodeURIComponent(id)}`, { signal });

/** Sends files to be imported; `sent` hears how far the upload is, from 0 to 1. */
export async function startImport(
  files: { file: File; path: string }[],
  dryRun: boolean,
  sent: (share: number) => void,
  signal: AbortSignal,
): Promise<{ job: string }> {
  const body = new FormData();
  body.append("dry_run", String(dryRun));
  for (const { file, path } of files) body.append("files", file, path);
  for (;;) {
    const answer = await upload("/import", body, sent, signal);
    if (answer.status < 400) return read(answer.text, answer.status);
    if (!(await tokenGiven(answer.status, answer.text))) throw refusal(answer.text, answer.status);
  }
}

/** `fetch` cannot say how far an upload is, the older request can. */
function upload(
  path: string,
  body: FormData,
  sent: (share: number) => void,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    for (const [name, value] of authorised()) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => sent(event.total ? event.loaded / event.total : 0);
    request.onload = () => resolve({ status: request.status, text: request.responseText });
    request.onerror = () => reject(gone());
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}

async function json<T>(path: string, init: RequestInit): Promise<T> {
  for (;;) {
    const headers = new Headers(init.headers);
    // Some addresses are the page's as well; what is asked for tells them apart.
    headers.set("Accept", "application/json");
    for (const [name, value] of authorised()) headers.set(name, value);
    let answer: Response;
    let text: string;
    try {
      answer = await fetch(path, { ...init, headers });
      text = await answer.text();
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw gone();
    }
    if (answer.ok) return read(text, answer.status);
    if (!(await tokenGiven(answer.status, text))) throw refusal(text, answer.status);
  }
}

function authorised(): [string, string][] {
  const token = sessionStorage.getItem(TOKEN);
  return token ? [["Authorization", `Bearer ${token}`]] : [];
}

async function tokenGiven(status: number, text: string): Promise<boolean> {
  if (status !== 401) return false;
  sessionStorage.removeItem(TOKEN);
  const token = await askForToken(refusal(text, status).message);
  if (token) sessionStorage.setItem(TOKEN, token);
  return token !== null;
}

function read<T>(text: string, status: number): T {
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new ApiError("unreadable", "The server answered with something that is not JSON.", status);
  }
}

function gone(): ApiError {
  return new ApiError("gone", "Savor does not answer.");
}

function refusal(text: string, status: number): ApiError {
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string } };
    return new ApiError(error.code, error.message, status);
  } catch {
    return new ApiError("unreadable", `The server refused with status ${status}.`, status);
  }
}
