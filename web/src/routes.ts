/** What the address bar says, as data and back. */

export interface Where {
  have: string[];
  avoid: string[];
  category: string;
  source: string;
  minutes: number | null;
}

export interface Query {
  text: string;
  /** Key of a photo that this tab keeps, see `photo.ts`. */
  photo: string;
  /** Id of a recipe to search with. */
  recipe: string;
  find: "recipes" | "photos";
  where: Where;
}

export type Order = "title" | "time" | "id";

export type Route =
  | { view: "search"; query: Query }
  | { view: "recipe"; id: string }
  /** `photo` is the key of a photo of this tab, `own` the id of one of the recipe's. */
  | { view: "why"; id: string; photo: string; own: string; way: string }
  | { view: "browse"; text: string; where: Where; order: Order }
  | { view: "map" }
  | { view: "import" }
  | { view: "lost" };

export const ANYWHERE: Where = { have: [], avoid: [], category: "", source: "", minutes: null };
export const NO_QUERY: Query = { text: "", photo: "", recipe: "", find: "recipes", where: ANYWHERE };

export function conditions(where: Where): number {
  const single = [where.category, where.source, where.minutes].filter((value) => value !== "" && value !== null);
  return where.have.length + where.avoid.length + single.length;
}

/** Whether there is nothing to search with; filters alone are browsed. */
export function isEmpty(query: Query): boolean {
  return !query.text && !query.photo && !query.recipe;
}

export function browsing(where: Where): Route {
  return { view: "browse", text: "", where, order: "title" };
}

export function parse(path: string, search: string): Route {
  const said = new URLSearchParams(search);
  const one = (name: string): string => said.get(name) ?? "";
  if (path === "/" && said.has("import")) return { view: "import" };
  if (path === "/")
    return {
      view: "search",
      query: {
        text: one("text"),
        photo: one("photo"),
        recipe: one("recipe"),
        find: one("find") === "photos" ? "photos" : "recipes",
        where: whereOf(said),
      },
    };
  if (path === "/map") return { view: "map" };
  if (path === "/browse") {
    const order = one("order");
    return {
      view: "browse",
      text: one("text"),
      where: whereOf(said),
      order: order === "time" || order === "id" ? order : "title",
    };
  }
  if (path.startsWith("/r/") && path.length > 3) {
    const id = decoded(path.slice(3));
    if (!said.has("why")) return { view: "recipe", id };
    return { view: "why", id, photo: one("why"), own: one("own"), way: one("way") };
  }
  return { view: "lost" };
}

export function format(route: Route): string {
  const said = new URLSearchParams();
  const put = (name: string, value: string): void => {
    if (value) said.set(name, value);
  };
  let path = "/";
  switch (route.view) {
    case "search":
      put("text", route.query.text);
      put("photo", route.query.photo);
      put("recipe", route.query.recipe);
      put("find", route.query.find === "photos" ? "photos" : "");
      whereInto(said, route.query.where);
      break;
    case "recipe":
      path = recipePath(route.id);
      break;
    case "why":
      path = recipePath(route.id);
      said.set("why", route.photo);
      put("own", route.own);
      put("way", route.way);
      break;
    case "browse":
      path = "/browse";
      put("text", route.text);
      put("order", route.order === "title" ? "" : route.order);
      whereInto(said, route.where);
      break;
    case "map":
      path = "/map";
      break;
    case "import":
      said.set("import", "");
      break;
    case "lost":
      break;
  }
  const query = said.toString();
  return query ? `${path}?${query}` : path;
}

/** Adds the conditions as the server reads them too. */
export function whereInto(said: URLSearchParams | FormData, where: Where): void {
  for (const word of where.have) said.append("have", word);
  for (const word of where.avoid) said.append("avoid", word);
  if (where.category) said.append("category", where.category);
  if (where.source) said.append("source", where.source);
  if (where.minutes !== null) said.append("minutes", String(where.minutes));
}

function whereOf(said: URLSearchParams): Where {
  const minutes = Number(said.get("minutes") ?? "");
  return {
    have: said.getAll("have").filter(Boolean),
    avoid: said.getAll("avoid").filter(Boolean),
    category: said.get("category") ?? "",
    source: said.get("source") ?? "",
    minutes: minutes > 0 && Number.isFinite(minutes) ? minutes : null,
  };
}

function recipePath(id: string): string {
  return `/r/${encodeURIComponent(id)}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
