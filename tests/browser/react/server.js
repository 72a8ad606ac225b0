// Renders in Node.js, where there is no window, what a test asks for; prints it.

import { renderToString } from "react-dom/server";
import { tree } from "./tree.js";

process.stdout.write(renderToString(tree(JSON.parse(process.argv[2]))));
