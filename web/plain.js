// A page that only has texts.

import { fillIn } from "./lib/texts.js";

fillIn();
