"use strict";
// What the pages of a server share: the token of their address, requests with it, and the line for errors.
const visdivServer = (() => {
  const byId = (id) => document.getElementById(id);

  // The token stays in this tab: the part of an address after # is not sent, and not kept in the history.
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    sessionStorage.setItem("token", given);
    history.replaceState(null, "", location.pathname);
  }
  const token = sessionStorage.getItem("token") || "";

  // Asks the server that `command` started, and throws an error that says what to do.
  const asker = (command) => async (path, options = {}) => {
    let answer;
    try {
      answer = await fetch(path, { ...options, headers: { ...options.headers, "X-Visdiv-Token": token } });
    } catch {
      throw new Error(`The server does not answer: start \`${command}\` again and open the address that it prints.`);
    }
    if (!answer.ok) throw new Error((await answer.text()).trim() || answer.statusText);
    return answer;
  };
  const asJson = (value) => ({ method: "POST", body: JSON.stringify(value), headers: { "Content-Type": "application/json" } });
  const fail = (error) => {
    byId("error").textContent = error.message;
    byId("error").hidden = false;
  };
  return { byId, asker, asJson, fail };
})();
