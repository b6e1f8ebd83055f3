// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/message.h>

#include <QtCore/qjsonvalue.h>

// Parts of a body, for those who need less, or more often, than Message gives.
namespace AmqpQt
{

// Undefined if the body is no JSON.
QJsonValue parseJson(const Message &message);

// The value at a path as in Message::json(); undefined if there is none.
QJsonValue jsonAt(QJsonValue value, QStringView path);

// At least the first `length` characters if there are so many, without decoding a large body to its end. Nothing if
// these are no text: not in the encoding of the message, or control characters.
std::optional<QString> textStart(const Message &message, qsizetype length);

} // namespace AmqpQt
