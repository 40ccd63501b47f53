// On every page: says what was asked for in the background and not done. What was typed stays where it is.
"use strict";

(() => {
  const AGAIN = "Try again in a moment.";
  let banner = null, path = "", loggedOut = false;

  function because(xhr) {
    switch (xhr?.status || 0) {
      case 0: return `there is no connection. ${AGAIN}`;
      case 401: return "you have been logged out. Log in in another tab, then do it again here.";
      case 403: return "you have been logged out, or your role may not do this. Log in in another tab, then do it again here.";
      case 404: return "it is not there any more. Load the page again.";
      default: return xhr.status < 500 ? "the page is out of date. Load it again." : `something went wrong on our side. ${AGAIN}`;
    }
  }
  function make() {
    banner = document.createElement("div");
    banner.id = "not-done";
    banner.className = "banner banner-bad";
    banner.setAttribute("role", "alert");
    const said = document.createElement("span"), login = document.createElement("a"), close = document.createElement("button");
    // Whoever is logged out is asked to log in there, and then led to their list.
    login.href = "/";
    login.target = "_blank";
    login.textContent = "Log in";
    close.type = "button";
    close.textContent = "Close";
    close.addEventListener("click", hide);
    banner.append(said, " ", login, close);
    document.body.append(banner);
  }
  function hide() { if (banner) banner.hidden = true; }
  function say({ xhr, pathInfo, requestConfig }) {
    if (!banner) make();
    const text = `${requestConfig?.verb === "get" ? "Not loaded" : "Not done"}: ${because(xhr)}`;
    const [said, login] = banner.children;
    path = pathInfo?.requestPath;
    loggedOut = xhr?.status === 401;
    login.hidden = ![401, 403].includes(xhr?.status);
    // What polls would have the same words read out again and again.
    if (said.textContent !== text) said.textContent = text;
    banner.hidden = false;
  }
  for (const failed of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(failed, (event) => say(event.detail));
  }
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    if (detail.successful && (loggedOut || detail.pathInfo.requestPath === path)) hide();
  });

  // After a login in another tab the page's own tokens are old, the cookie's is not.
  const token = () => /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1];
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    if (detail.parameters.csrfmiddlewaretoken && token()) detail.parameters.csrfmiddlewaretoken = token();
  });
  document.addEventListener("submit", ({ target }) => {
    const kept = target.elements.csrfmiddlewaretoken;
    if (kept && token()) kept.value = token();
  }, true);
})();
