/*
 * The back-end's own channel to the front-end (SET_BACKEND_REQ_FD). Never waited for, and never read: nothing that is
 * said there asks for a reply.
 */
#pragma once

struct session;

/* Tells the front-end that the config space has changed, now or when its channel is there (CONFIG_CHANGE_MSG). */
void backend_config_changed(struct session *s);
