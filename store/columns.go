package store

// Columns are the columns of a client in every database, in the order in which the stores write and read them.
const Columns = `id, first_name, last_name, email_address, title, middle_name, company_name, telephone_number,
	alt_telephone_number, pronouns, prefers_email, prefers_phone, prefers_sms, prefers_post, avatar_url, dob, nationality,
	ni_number, occupation, address_line_1, address_line_2, address_line_3, address_post_town, address_county,
	address_postcode, address_uprn, status, fingerprint, caller, key_id, accepted_at, created_at`
