/** For an address that leads nowhere. */

import { h } from "../dom";
import { heading, titled } from "../shell";

export function showLost(_: unknown, main: HTMLElement): Promise<void> {
  titled("Nothing here");
  main.replaceChildren(
    h(
      "section",
      { class: "notice empty" },
      heading("There is no such page"),
      h("p", {}, "The address may be cut off. Everything starts from the search."),
      h("a", { class: "button", href: "/" }, "To the search"),
    ),
  );
  return Promise.resolve();
}
