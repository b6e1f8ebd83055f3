// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/message.h>

#include <QtCore/qjsonvalue.h>

// Functions that read parts of a body, for callers that need only a part of it, or need it often.
namespace AmqpQt
{

// Returns undefined if the body is not JSON.
QJsonValue parseJson(const Message &message);

// Returns the value at a path as in Message::json(), or undefined if there is none.
QJsonValue jsonAt(QJsonValue value, QStringView path);

// Returns at least the first `length` characters, if the body has as many, without decoding a large body to its end.
// Returns nothing if they are not text, that is, not in the encoding of the message or control characters.
std::optional<QString> textStart(const Message &message, qsizetype length);

} // namespace AmqpQt
