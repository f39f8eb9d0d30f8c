"use strict";

// In the browser: takes over the page that the server rendered. What differs from it is told, not mended silently.

const { createElement } = require("react");
const { hydrateRoot } = require("react-dom/client");
const funds = require("./funds");
const { Page } = require("./page");

const { funds: list, quotes } = window.page;
const page = createElement(Page, { funds: list, best: funds.best(list, 0), quotes });
hydrateRoot(document, page, { onRecoverableError: (error) => console.error("hydration:", error) });
