// The script of pages that only need their texts filled in.

import { fillIn } from "./lib/texts.js";

fillIn();
