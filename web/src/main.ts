import "./style/base.css";
import "./style/parts.css";
import "./style/views.css";

import { onTokenNeeded } from "./api";
import { choosePhoto, listenForPhotos } from "./asking";
import { askToken, onKey, start } from "./shell";
import { showBrowse } from "./views/browse";
import { showImport } from "./views/importing";
import { showLost } from "./views/lost";
import { showMap } from "./views/map";
import { showRecipe } from "./views/recipe";
import { showSearch } from "./views/search";
import { showWhy } from "./views/why";

onTokenNeeded(askToken);
listenForPhotos();
addEventListener("keydown", (event) => onKey(event, { photo: choosePhoto }));
start({
  search: showSearch,
  recipe: showRecipe,
  why: showWhy,
  browse: showBrowse,
  map: showMap,
  import: showImport,
  lost: showLost,
});
