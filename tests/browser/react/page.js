// Shows in a browser what a test asks for.

import { version } from "react";
import { createRoot, hydrateRoot } from "react-dom/client";
import { told, tree } from "./tree.js";

const place = document.getElementById("root");
let root;

window.told = told;
window.version = version;
window.show = (what) => (root ??= createRoot(place)).render(tree(what));
window.hydrate = (what) => void (root = hydrateRoot(place, tree(what)));
window.unmount = () => root.unmount();
